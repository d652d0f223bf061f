import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { REPOSITORY } from "./source-tree.js";

const bin = join(REPOSITORY, "node_modules/.bin");
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` };
const buf = (...args: readonly string[]) =>
  promisify(execFile)(join(bin, "buf"), args, { cwd: REPOSITORY, env });

test("generating the code again changes nothing", async () => {
  const scratch = await mkdtemp(join(tmpdir(), "kiln-gen-"));
  try {
    await buf("generate", "--output", scratch);
    const fresh = await readTree(join(scratch, "src/gen"));
    const committed = await readTree(join(REPOSITORY, "src/gen"));
    expect([...committed.keys()]).toEqual([...fresh.keys()]);
    expect([...fresh].filter(([path, text]) => committed.get(path) !== text).map(([path]) => path)).toEqual(
      [],
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});

test("the interface definitions are formatted", async () => {
  const { stdout } = await buf("format", "--diff");
  expect(stdout).toBe("");
});

test("every interface definition lies in the folder of its package", async () => {
  const misplaced: string[] = [];
  for (const [path, text] of await readTree(join(REPOSITORY, "proto"))) {
    const name = /^package ([\w.]+);$/m.exec(text)?.[1] ?? "";
    if (path.slice(0, path.lastIndexOf("/")) !== name.replaceAll(".", "/")) misplaced.push(path);
  }
  expect(misplaced).toEqual([]);
});

async function readTree(root: string): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
  const texts = await Promise.all(paths.map((path) => readFile(join(root, path), "utf8")));
  return new Map(paths.map((path, index) => [path, texts[index]!]));
}

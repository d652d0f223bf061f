import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { main } from "../../../src/cli/program.js";
import { Image } from "../../../src/image/image.js";

// A recipe of its own takes the class from here: to load it by its file would compile all sources once more.
Object.assign(globalThis, { kilnImage: Image });
let dir: string;
let recipe: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-lint-cli-"));
  recipe = join(dir, "image.mjs");
  writeFileSync(
    recipe,
    [
      "const Image = globalThis.kilnImage;",
      'export const clean = Image.fromScratch().label({ a: "b" });',
      'export const secret = Image.fromScratch().env({ A_TOKEN: "hunter2" });',
      'export default Image.fromRegistry("debian").addLocalDir("a", "/a", { copy: true })',
      '  .aptInstall("git");',
    ].join("\n"),
  );
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

async function lint(...args: string[]) {
  const written = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      written[stream] += stripVTControlCharacters(String(text));
      return true;
    });
  }
  const code = await main(["node", "kiln", "lint", ...args]);
  vi.restoreAllMocks();
  process.exitCode = undefined;
  return { code, ...written };
}

it("prints what is found, with its place, and what to do", async () => {
  const { code, stdout, stderr } = await lint(recipe);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout.replaceAll(dir, "")).toBe(`\
warning debian is whatever release is newest on the day of the build [unpinned-base]
  step 1: fromRegistry debian
  at /image.mjs:4:22
  hint: Name a release by its tag, and pin it: build with a lock (sourceLock, --lock kiln.lock), or write NAME:TAG@sha256:…
warning each change of these files runs 1 later step again, which does not use them: "aptInstall git" [volatile-before-stable]
  step 2: addLocalDir a → /a
  at /image.mjs:4:45
  hint: Put it after "aptInstall git".
info git: no version is named, so another build may install another one [unpinned-package]
  step 3: aptInstall git
  at /image.mjs:5:4
  hint: Where the version matters, name one: "git=1:2.39.*". Debian drops old versions, so expect to move it on.
2 warnings, 1 info
`);
});

it("exits with 1 from the weight on that is asked for", async () => {
  const exits = async (...args: string[]) => (await lint(...args)).code;
  expect(await exits(recipe, "--fail-on", "warning")).toBe(1);
  expect(await exits(recipe, "--fail-on", "error")).toBe(0);
  expect(await exits(recipe, "--fail-on", "info", "--rule", "unpinned-base=off")).toBe(1);
  expect(await exits(recipe, "--rule", "unpinned-base=error")).toBe(1);
  expect(await exits(`${recipe}#secret`)).toBe(1);
  expect(await exits(`${recipe}#secret`, "--fail-on", "never")).toBe(0);
  const clean = await lint(`${recipe}#clean`, "--fail-on", "info");
  expect(clean).toEqual({ code: 0, stdout: "nothing found\n", stderr: "" });
});

it("prints JSON, with a lock and a record", async () => {
  const lock = join(dir, "kiln.lock");
  const record = join(dir, "record.json");
  writeFileSync(
    lock,
    JSON.stringify({
      version: 1,
      sources: [
        {
          type: "image",
          source: "docker-image://docker.io/library/debian:latest",
          digest: `sha256:${"a".repeat(64)}`,
        },
      ],
    }),
  );
  const step = { index: 2, id: "aptInstall", title: "aptInstall git", outcome: "ran", durationMs: 41_000 };
  writeFileSync(record, JSON.stringify({ steps: [step] }));
  const { code, stdout } = await lint(recipe, "--json", "--lock", lock, "--record", record);
  expect(code).toBe(0);
  const { findings } = JSON.parse(stdout) as { findings: readonly object[] };
  expect(findings).toMatchObject([
    { rule: "unpinned-base", severity: "info", fixable: true, location: { file: recipe, line: 4 } },
    { rule: "volatile-before-stable", fixable: true, message: expect.stringContaining("41 s each time") },
    { rule: "unpinned-package", fixable: false },
  ]);
});

it.each([
  ["a severity", ["--fail-on", "fatal"], "error, warning, info or never"],
  ["a rule", ["--rule", "pinned=off"], "Rules: "],
  ["a rule's weight", ["--rule", "unpinned-base"], "--rule unpinned-base=off"],
  ["a number", ["--base-layers", "some"], "--base-layers 5"],
  ["a lock that is not there", ["--lock", "gone.lock"], "Lock the sources first"],
  ["a record that is not there", ["--record", "gone.json"], "kiln build RECIPE --json"],
  ["a record that is none", ["--record", "IMAGE"], "kiln build RECIPE --json"],
])("refuses a wrong one: %s", async (_title, args, hint) => {
  const { code, stdout, stderr } = await lint(recipe, ...args.map((arg) => arg.replace("IMAGE", recipe)));
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(hint);
});

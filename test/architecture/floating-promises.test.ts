import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { REPOSITORY } from "./source-tree.js";

const BEFORE = `import { writeFile } from "node:fs/promises";
import { Box, other } from "./other.js";
interface Closer { close(): Promise<void>; readonly run: () => Promise<void> }
async function local(): Promise<void> {}
export async function run(closer: Closer, list: readonly Closer[]): Promise<void> {
`;
const AFTER = "}\nexport const used = [writeFile, Box, other, local];\n";

const DROPPED: readonly (readonly [title: string, statement: string])[] = [
  ["a function of the same file", "local();"],
  ["a function of another file", "other();"],
  ["a method of a class in another file", "new Box().save();"],
  ["a method of an interface", "closer.close();"],
  ["a chain without a rejection handler", "other().then(() => {});"],
  ["an async function called on the spot", "(async () => {})();"],
  ["all of many", "Promise.all(list.map((one) => one.close()));"],
];
const DROPPED_BEYOND_THE_LINTER: typeof DROPPED = [
  ["a function of Node's", 'writeFile("x", "y");'],
  ["a member that holds a function", "closer.run();"],
  ["a promise where nothing is expected", "list.forEach((one) => one.close());"],
  ["an async listener", "setTimeout(async () => { await local(); }, 1);"],
];
const KEPT = [
  "await local();",
  "await Promise.all(list.map((one) => one.close()));",
  "other().catch(() => {});",
  "other().then(() => {}, () => {});",
  "void closer.close();",
  "list.forEach((one) => void one.close());",
];

let project: string;

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "kiln-lint-"));
  const config = JSON.parse(readFileSync(join(REPOSITORY, "biome.json"), "utf8")) as Record<string, unknown>;
  // The rules are the repository's own; only what ties them to its place is taken out.
  const detached = { ...config, $schema: undefined, vcs: { enabled: false } };
  writeFileSync(join(project, "biome.json"), JSON.stringify(detached));
  const compilerOptions = { noUnusedLocals: false, skipLibCheck: true };
  const tsconfig = { extends: join(REPOSITORY, "tsconfig.json"), compilerOptions, include: ["src"] };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(tsconfig));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
  symlinkSync(join(REPOSITORY, "node_modules"), join(project, "node_modules"));
  mkdirSync(join(project, "src"));
  writeFileSync(
    join(project, "src/other.ts"),
    "export class Box {\n  async save(): Promise<void> {}\n}\nexport async function other(): Promise<void> {}\n",
  );
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

const linter = [
  join(REPOSITORY, "node_modules/@biomejs/biome/bin/biome"),
  ...["lint", "--max-diagnostics=none", "--reporter=github", "src/example.ts"],
];
const check = [join(REPOSITORY, "scripts/check-types.mjs"), "tsconfig.json"];

test("the linter refuses dropped promises", () => {
  const lines = findings(
    linter,
    /title=lint\/nursery\/noFloatingPromises,.*?,line=(\d+),/g,
    DROPPED.map(second),
  );
  expect(lines.map((line) => DROPPED[line]?.[0])).toEqual(DROPPED.map(([title]) => title));
});

test("the check by types refuses those and the ones that the linter cannot see", () => {
  const all = [...DROPPED, ...DROPPED_BEYOND_THE_LINTER];
  const lines = findings(check, /example\.ts:(\d+):/g, all.map(second));
  expect(lines.map((line) => all[line]?.[0])).toEqual(all.map(([title]) => title));
});

test("both accept promises that are awaited, handled or dropped on purpose", () => {
  expect(findings(linter, /(noFloatingPromises)/g, KEPT)).toEqual([]);
  expect(findings(check, /(promise)/g, KEPT)).toEqual([]);
});

test("the check by types says what the compiler finds", () => {
  expect(findings(check, /example\.ts\((\d+),\d+\): error TS2322/g, ["await local();", "list = 1;"])).toEqual(
    [1],
  );
});

/** Runs a program over statements, one a line, and returns the positions of those that it complains about. */
function findings(
  args: readonly string[],
  pattern: RegExp,
  statements: readonly string[],
): readonly number[] {
  writeFileSync(join(project, "src/example.ts"), `${BEFORE}${statements.join("\n")}\n${AFTER}`);
  const result = spawnSync(process.execPath, args, { cwd: project, encoding: "utf8" });
  const output = `${result.stdout}${result.stderr}`;
  const offset = BEFORE.split("\n").length;
  const lines = [...output.matchAll(pattern)].map((match) => Number(match[1]) - offset);
  if ((result.status !== 0) !== lines.length > 0) throw new Error(`exit code ${result.status}: ${output}`);
  return lines.sort((a, b) => a - b);
}

function second(pair: readonly [string, string]): string {
  return pair[1];
}

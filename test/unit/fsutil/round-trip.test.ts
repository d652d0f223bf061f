import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { receiveTree } from "../../../src/fsutil/receive.js";
import { sendTree } from "../../../src/fsutil/send.js";
import { openTree } from "../../../src/fsutil/tree.js";
import { inSoak } from "../internal/long-runs.js";
import { channelPair } from "./channel-pair.js";
import { type Entry, makeEntry, temporaryDirectory } from "./temporary-tree.js";

const name = fc.oneof(
  fc.constantFrom(
    "a",
    "b",
    "a.b",
    "a-b",
    "é",
    "\uffee",
    "😀",
    "new\nline",
    "back\\slash",
    " ",
    "#",
    "...",
    "\u0001",
  ),
  fc.stringMatching(/^[a-z]{1,80}$/),
);
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/"));
const mode = fc.constantFrom(0o644, 0o600, 0o755, 0o4755, 0o2711, 0o1777, 0o444);
const content = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 0, max: 600_000 }).map((size) => new Uint8Array(size).fill(0x5a)),
  },
);
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ file: content, mode }),
  fc.record({ dir: fc.constant(true as const), mode: fc.constantFrom(0o755, 0o700, 0o1777) }),
  fc.record({ symlink: fc.constantFrom("a", "../b", "/etc/passwd", "no where", "é\n", ".") }),
);

interface Spec {
  readonly entries: readonly (readonly [path: string, entry: Entry])[];
  /** Which files get another link, at which path. */
  readonly links: readonly (readonly [file: number, path: string])[];
}
const spec: fc.Arbitrary<Spec> = fc.record({
  entries: fc.array(fc.tuple(path, entry), { maxLength: 20 }),
  links: fc.array(fc.tuple(fc.nat(19), path), { maxLength: 5 }),
});

test("a tree that is sent and received is the same tree", async () => {
  await fc.assert(
    fc.asyncProperty(spec, async ({ entries, links }) => {
      const base = temporaryDirectory();
      const source = join(base, "source");
      makeEntry(base, "source", { dir: true });
      for (const [at, what] of entries) tryToMake(source, at, what);
      const files = filesOf(source);
      for (const [file, at] of links) {
        const target = files[file];
        if (target !== undefined) tryToMake(source, at, { link: target });
      }
      const target = join(base, "target");
      const [a, b] = channelPair();
      const [sent, received] = await Promise.all([
        sendTree(a, openTree({ root: source })),
        receiveTree(b, target),
      ]);
      expect(snapshot(target)).toEqual(snapshot(source));
      expect(received.bytes).toBe(sent.bytes);
      expect(received.entries).toBe(sent.entries);
    }),
    { numRuns: inSoak(30, 60) },
  );
});

/** Random paths collide; what cannot be made is left out. */
function tryToMake(root: string, at: string, what: Entry): void {
  try {
    if (lstatSync(join(root, at), { throwIfNoEntry: false }) === undefined) makeEntry(root, at, what);
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toMatch(/^E(NOTDIR|EXIST|LOOP|ACCES|NOENT|PERM)$/);
  }
}

function filesOf(root: string): readonly string[] {
  return Object.entries(snapshot(root)).flatMap(([at, line]) => (line.startsWith("file") ? [at] : []));
}

/** Everything that a transfer keeps, a line for each path. */
function snapshot(root: string): Readonly<Record<string, string>> {
  const lines: Record<string, string> = {};
  const firstLinks = new Map<bigint, string>();
  const visit = (prefix: string): void => {
    for (const child of readdirSync(join(root, prefix)).sort()) {
      const at = prefix === "" ? child : `${prefix}/${child}`;
      const stat = lstatSync(join(root, at), { bigint: true });
      lines[at] = describe(join(root, at), stat, firstLinks.get(stat.ino));
      if (!firstLinks.has(stat.ino)) firstLinks.set(stat.ino, at);
      if (stat.isDirectory()) visit(at);
    }
  };
  visit("");
  return lines;
}

function describe(absolute: string, stat: BigIntStats, firstLink: string | undefined): string {
  const common = `${(stat.mode & 0o7777n).toString(8)} ${stat.mtimeNs / 1000n}`;
  if (stat.isDirectory()) return `dir ${common}`;
  if (stat.isSymbolicLink()) return `symlink ${common} ${readlinkSync(absolute)}`;
  if (firstLink !== undefined) return `file ${common} link to ${firstLink}`;
  return `file ${common} ${readFileSync(absolute).toString("base64")}`;
}

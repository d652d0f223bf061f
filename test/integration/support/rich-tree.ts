import { createHash } from "node:crypto";
import { chmodSync, linkSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A local directory made for a test, and what of it should arrive in an image. */
export interface RichTree {
  readonly dir: string;
  readonly ignoreFile: string;
  /** By path within the directory, ignored ones left out. */
  readonly expected: ReadonlyMap<string, ExpectedFile>;
}

/** What a path should be. Hard links are files here: which name comes first is the archive's affair. */
export interface ExpectedFile {
  readonly type: "file" | "directory" | "symlink";
  readonly mode: number;
  readonly linkname?: string;
  readonly sha256?: string;
  /** Paths of one file share a group. */
  readonly inode?: number;
}

const oddNames = [
  "with space",
  "-leading-dash",
  "quote'and\"quote",
  "new\nline",
  "tab\there",
  "back\\slash",
  "ünïcödé",
  "日本語",
  "\u{1F525}kiln",
  "￿high-bmp",
  "a!b",
  "#hash",
  "%41",
  "$HOME",
  "*star",
  "[bracket]",
  "dot.",
  "..dots",
  "x".repeat(200),
];

/** Makes a directory of 3,000 files with symlinks, hard links, odd names, modes, empty directories and an ignore file. */
export function makeRichTree(): RichTree {
  const dir = mkdtempSync(join(tmpdir(), "kiln-tree-"));
  const expected = new Map<string, ExpectedFile>();
  const directory = (path: string, mode = 0o755): void => {
    mkdirSync(join(dir, path));
    chmodSync(join(dir, path), mode);
    expected.set(path, { type: "directory", mode });
  };
  const file = (path: string, content: string, mode = 0o644, inode?: number): void => {
    writeFileSync(join(dir, path), content);
    chmodSync(join(dir, path), mode);
    const sha256 = createHash("sha256").update(content).digest("hex");
    expected.set(path, { type: "file", mode, sha256, ...(inode === undefined ? {} : { inode }) });
  };
  for (let i = 0; i < 29; i += 1) {
    directory(`dir${i}`, i % 5 === 0 ? 0o700 : 0o755);
    for (let j = 0; j < 100; j += 1) {
      file(`dir${i}/file${j}.txt`, `content ${i} ${j}\n`.repeat(j % 7), [0o644, 0o600, 0o755, 0o444][j % 4]);
    }
  }
  directory("odd");
  for (const name of oddNames) file(`odd/${name}`, `odd ${name}`);
  directory("empty");
  directory("sticky", 0o1777);
  file("setuid", "#!/bin/sh\n", 0o4755);
  file("empty-file", "");
  for (let i = 0; i < 10; i += 1) {
    file(`original${i}`, `linked ${i}`, 0o640, i);
    const original = expected.get(`original${i}`);
    for (const name of [`link${i}-a`, `dir1/link${i}-b`]) {
      linkSync(join(dir, `original${i}`), join(dir, name));
      if (original !== undefined) expected.set(name, original);
    }
  }
  const links: readonly (readonly [string, string])[] = [
    ["to-file", "dir2/file3.txt"],
    ["to-dir", "dir3"],
    ["dangling", "no/such/file"],
    ["absolute", "/etc/passwd"],
    ["upwards", "../../outside"],
    ["odd/\u{1F525}link", "日本語"],
  ];
  for (const [path, target] of links) {
    symlinkSync(target, join(dir, path));
    expected.set(path, { type: "symlink", mode: 0o777, linkname: target });
  }
  const ignored = ["node_modules", "dir4", "keep.log"];
  mkdirSync(join(dir, "node_modules"));
  for (let i = 0; i < 20; i += 1) writeFileSync(join(dir, `node_modules/m${i}.js`), "ignored");
  mkdirSync(join(dir, "logs"));
  expected.set("logs", { type: "directory", mode: 0o755 });
  chmodSync(join(dir, "logs"), 0o755);
  for (const name of ["a.log", "b.log"]) writeFileSync(join(dir, "logs", name), "ignored");
  file("logs/keep.log", "kept by an exception");
  for (const path of [...expected.keys()]) {
    if (ignored.slice(0, 2).some((name) => path === name || path.startsWith(`${name}/`)))
      expected.delete(path);
  }
  const ignoreFile = join(dir, ".dockerignore");
  file(".dockerignore", "# what stays out\nnode_modules\n/dir4\n**/*.log\n!logs/keep.log\n");
  return { dir, ignoreFile, expected };
}

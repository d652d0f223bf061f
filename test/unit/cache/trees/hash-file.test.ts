import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FileHasher, type HashedFile } from "../../../../src/cache/trees/hash-file.js";
import { temporaryTree } from "../../fsutil/temporary-tree.js";

const LARGE = 1_000_000;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Reads a file; `between` is called whenever the event loop could turn. */
function hash(
  path: string,
  between: (turn: number) => void = () => {},
  before = lstatSync(path),
): HashedFile {
  const work = new FileHasher().hash(path, before);
  for (let turn = 0; ; turn += 1) {
    const step = work.next();
    if (step.done === true) return step.value;
    between(turn);
  }
}

test.each([0, 1, 262_143, 262_144, 262_145, LARGE])(
  "a file of %i bytes has the sum of its content",
  (size) => {
    const bytes = Buffer.alloc(size, "content");
    const path = join(temporaryTree({ f: { file: bytes } }), "f");
    const { mtimeNs } = lstatSync(path, { bigint: true });
    expect(hash(path)).toMatchObject({ kind: "hashed", sha256: sha256(bytes), bytesRead: size, mtimeNs });
  },
);

test("a file that changes once while it is read has the sum and the stat of what it became", () => {
  const path = join(temporaryTree({ f: { file: Buffer.alloc(LARGE) } }), "f");
  const after = Buffer.alloc(LARGE, "after");
  const found = hash(path, (turn) => turn === 2 && writeFileSync(path, after));
  expect(found).toMatchObject({ kind: "hashed", sha256: sha256(after) });
  expect(found).toMatchObject({ stat: { ctimeMs: lstatSync(path).ctimeMs } });
});

test("a file that changed since it was looked at has the stat of what was read", () => {
  const path = join(temporaryTree({ f: "one" }), "f");
  const before = lstatSync(path);
  writeFileSync(path, "three");
  const found = hash(path, undefined, before);
  expect(found).toMatchObject({ kind: "hashed", sha256: sha256(Buffer.from("three")), stat: { size: 5 } });
});

test("a file that changes each time is given up, also one that grows without end", () => {
  const path = join(temporaryTree({ f: { file: Buffer.alloc(LARGE) } }), "f");
  expect(hash(path, () => appendFileSync(path, "."))).toEqual({ kind: "unsettled" });
  const more = Buffer.alloc(300_000);
  expect(hash(path, () => appendFileSync(path, more))).toEqual({ kind: "unsettled" });
  expect(hash(path, (turn) => truncateSync(path, LARGE - turn))).toEqual({ kind: "unsettled" });
});

test("what takes a file's place is told apart", () => {
  const root = temporaryTree({ f: "1", g: "2" });
  const before = lstatSync(join(root, "f"));
  rmSync(join(root, "f"));
  const kinds = [() => {}, () => symlinkSync("g", join(root, "f")), () => mkdirSync(join(root, "f"))].map(
    (make) => {
      make();
      const { kind } = hash(join(root, "f"), undefined, before);
      rmSync(join(root, "f"), { recursive: true, force: true });
      return kind;
    },
  );
  expect(kinds).toEqual(["gone", "other", "other"]);
  expect(hash(join(root, "g/under"), undefined, before)).toEqual({ kind: "gone" });
});

test.skipIf(process.platform === "win32")("a pipe in a file's place does not hold up the reading", () => {
  const root = temporaryTree({ f: "1" });
  const before = lstatSync(join(root, "f"));
  rmSync(join(root, "f"));
  execFileSync("mkfifo", [join(root, "f")]);
  expect(hash(join(root, "f"), undefined, before)).toEqual({ kind: "other" });
});

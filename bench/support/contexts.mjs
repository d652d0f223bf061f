// The trees that builds send. Made once, kept between runs; contents depend on nothing but the name.

import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

const MB = 1_000_000;
const GiB = 2 ** 30;

/** Bytes that do not compress and are the same in every run. */
function* noise(seed) {
  for (let block = 0; ; block += 1) {
    const pieces = [];
    for (let index = 0; index < 32_768; index += 1) {
      pieces.push(createHash("sha256").update(`${seed} ${block} ${index}`).digest());
    }
    yield Buffer.concat(pieces);
  }
}

function manyFiles({ files, bytes, perFolder }) {
  return (dir) => {
    const block = noise("files").next().value;
    const size = Math.floor(bytes / files);
    for (let index = 0; index < files; index += 1) {
      const folder = join(dir, `d${String(Math.floor(index / perFolder)).padStart(4, "0")}`);
      if (index % perFolder === 0) mkdirSync(folder, { recursive: true });
      const start = (index * 131) % (block.length - size - 64);
      const head = Buffer.from(`${index}\n`);
      writeFileSync(
        join(folder, `f${String(index).padStart(6, "0")}.js`),
        Buffer.concat([head, block.subarray(start, start + size - head.length)]),
      );
    }
  };
}

function oneFile(bytes) {
  return (dir) => {
    const file = openSync(join(dir, "big.bin"), "w");
    let written = 0;
    for (const block of noise("big")) {
      // One block of noise told apart by its number is as incompressible as fresh noise to a 32 KiB window.
      for (let copy = 0; copy < 32 && written < bytes; copy += 1) {
        block.writeUInt32LE(written >>> 12, 0);
        written += writeSync(file, block, 0, Math.min(block.length, bytes - written));
      }
      if (written >= bytes) break;
    }
    closeSync(file);
  };
}

const contexts = {
  "10k": {
    says: "10,000 files, 100 MB",
    make: manyFiles({ files: 10_000, bytes: 100 * MB, perFolder: 100 }),
  },
  "100k": {
    says: "100,000 files, 57 MB",
    make: manyFiles({ files: 100_000, bytes: 57 * MB, perFolder: 100 }),
  },
  "1g": { says: "one file of 1 GiB", make: oneFile(GiB) },
};

/** Thirty-two bytes that some files of every context of many have, and nothing else by chance; `index` below 32,768. */
export function pieceOf(index) {
  return createHash("sha256").update(`files 0 ${index}`).digest();
}

/** What a context is in words, and its folder, which is made if it is missing (and `prefix` given). */
export function context(name, prefix) {
  const { says, make } = contexts[name];
  if (prefix === undefined) return { says };
  const dir = join(prefix, "bench", "contexts", name);
  if (!existsSync(dir)) {
    const scratch = `${dir}.part`;
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch, { recursive: true });
    make(scratch);
    renameSync(scratch, dir);
  }
  return { dir, says };
}

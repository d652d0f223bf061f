import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LayerBlob } from "../../../src/layers/layer-sink.js";
import { type PackedTree, type PackTreeOptions, packTree } from "../../../src/layers/pack-tree.js";
import { temporaryDirectory, temporaryTree } from "../fsutil/temporary-tree.js";
import { scanEntries } from "./scan-entries.js";

/** Blobs in a directory of their own, and a memo in memory. */
export class Kept {
  readonly dir = temporaryDirectory();
  readonly known = new Map<string, LayerBlob>();
  scratches = 0;
  readonly blobs: PackTreeOptions["blobs"] = {
    path: (digest) => join(this.dir, digest),
    has: async (digest) => existsSync(join(this.dir, digest)),
    scratch: async () => join(this.dir, `scratch-${this.scratches++}`),
    keep: async (scratchFile, digest) => renameSync(scratchFile, join(this.dir, digest)),
  };
  readonly memo: PackTreeOptions["memo"] = {
    get: async (key) => this.known.get(key),
    put: async (key, blob) => void this.known.set(key, blob),
  };

  files(): string[] {
    return readdirSync(this.dir).sort();
  }
}

/** When everything that is packed was written. */
export const seconds = 315_532_802;

/** Packs a directory without threads. */
export function pack(root: string, kept: Kept, options: Partial<PackTreeOptions> = {}): Promise<PackedTree> {
  const entries = options.entries === undefined ? scanEntries(root) : [];
  return packTree({
    entries: () => entries,
    locate: (path) => join(root, path),
    target: { prefix: "app/src", makeDirs: ["app", "app/src"] },
    mtime: { seconds },
    compression: "gzip",
    memo: kept.memo,
    blobs: kept.blobs,
    // A thread takes long to start from sources. Tests of threads say so.
    threads: false,
    ...options,
  });
}

/** So many files, and what a tree may have besides. */
export function variedTree(files: number): string {
  const deep = Array.from({ length: 30 }, (_, index) => `directory-${index}`).join("/");
  const root = temporaryTree({
    "empty/inner": { dir: true },
    "private/key": { file: "key", mode: 0o600 },
    "bin/tool": { file: "#!/bin/sh\n", mode: 0o755 },
    "a link": { symlink: "bin/tool" },
    dangling: { symlink: `/nowhere/${"x".repeat(200)}` },
    [`${deep}/leaf`]: "deep",
    "grün/日本語": "names",
    "z-large": { file: Buffer.alloc(700_000, "large ") },
    "z-none": "",
    "links/first": "shared",
    "links/second": { link: "links/first" },
    "zz/third": { link: "links/first" },
  });
  for (let index = 0; index < files; index += 1) {
    const directory = join(root, `many/${Math.floor(index / 50)}`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `${index}.txt`), `file ${index}\n`.repeat(index % 40));
  }
  chmodSync(join(root, "private"), 0o700);
  chmodSync(join(root, "bin/tool"), 0o6755);
  chmodSync(join(root, "empty"), 0o1777);
  return root;
}

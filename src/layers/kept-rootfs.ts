import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readFile, utimes } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { systemErrorCode, systemReason } from "../fsutil/file-errors.js";
import type { FileVersion } from "../internal/file-version.js";
import { type Digest, digestHex, isDigest } from "../oci/digest.js";

/** Where root file systems are kept in a cache directory. */
export interface RootfsPlaces {
  readonly root: string;
  /** What is known of tars: a file each, named by a digest over path and platform. */
  readonly records: string;
  /** OCI layouts, named by the hexadecimal digits of their manifest's digest. */
  readonly layouts: string;
  /** Layouts under way, and on their way out. */
  readonly scratch: string;
}

/** A layout, or what is known of a tar. */
export interface KeptRootfs {
  readonly name: string;
  readonly path: string;
  /** Of all its files. */
  readonly bytes: number;
  /** When a build last used it, in milliseconds since 1970. */
  readonly usedAt: number;
}

/** What is known of a tar that was read. */
export interface TarRecord {
  readonly version: 1;
  readonly file: FileVersion;
  readonly digest: Digest;
}

/** The places of a cache directory's root file systems. */
export function rootfsPlaces(cacheDir: string): RootfsPlaces {
  const root = join(cacheDir, "rootfs");
  return { root, records: join(root, "files"), layouts: join(root, "layouts"), scratch: join(root, "new") };
}

/** The directory of the layout with a manifest of that digest. */
export function layoutDir({ layouts }: RootfsPlaces, digest: Digest): string {
  return join(layouts, digestHex(digest));
}

/**
 * Marks what a build uses, so that whoever removes what is unused leaves it. Then only see whether it is there: who removes
 * it looks at the mark once more when nobody can find it any longer.
 */
export async function markUsed(path: string): Promise<void> {
  const now = new Date();
  // What is gone is made again; what cannot be written cannot be removed either.
  await utimes(path, now, now).catch(() => {});
}

/** Layouts and records in a cache directory, in no order. What goes meanwhile is left out. */
export async function* keptRootfs(cacheDir: string): AsyncIterable<KeptRootfs> {
  const { records, layouts } = rootfsPlaces(cacheDir);
  for (const dir of [layouts, records]) {
    for (const name of await readdir(dir).catch(() => [])) {
      const path = join(dir, name);
      const found = await lstat(path).catch(() => undefined);
      if (found === undefined) continue;
      const bytes = found.isDirectory() ? await sizeOf(path) : found.size;
      yield { name, path, bytes, usedAt: found.mtimeMs };
    }
  }
}

/** Reads what {@link keptRootfs} found, and hashes a layout's blobs; gives what is wrong, `undefined` if nothing is. */
export async function checkRootfs({ name, path }: KeptRootfs): Promise<string | undefined> {
  try {
    if (name.endsWith(".json")) {
      return (await readTarRecord(path)) === undefined ? "it is no record of a tar" : undefined;
    }
    const blobs = join(path, "blobs", "sha256");
    const names = await readdir(blobs);
    if (!names.includes(name)) return "its manifest is missing";
    for (const blob of names) {
      const hash = createHash("sha256");
      await pipeline(createReadStream(join(blobs, blob)), hash);
      if (hash.digest("hex") !== blob) return `the content of its blob ${blob} has another digest`;
    }
    return undefined;
  } catch (error) {
    return systemErrorCode(error) === "ENOTDIR" ? "it is no layout" : systemReason(error);
  }
}

/** What is known of a tar; `undefined` if there is nothing, or nothing that can be read. */
export async function readTarRecord(file: string): Promise<TarRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(file, "utf8")) as Partial<TarRecord> | null;
    if (record?.version !== 1 || record.file === undefined || record.digest === undefined) return undefined;
    return isDigest(record.digest) ? { version: 1, file: record.file, digest: record.digest } : undefined;
  } catch {
    return undefined;
  }
}

async function sizeOf(dir: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(dir, { recursive: true }).catch(() => [])) {
    const found = await lstat(join(dir, name)).catch(() => undefined);
    if (found?.isFile() === true) bytes += found.size;
  }
  return bytes;
}

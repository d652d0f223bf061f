import { createHash } from "node:crypto";
import { FileMode, isDirectoryMode, isRegularMode } from "../../../../src/fsutil/file-mode.js";
import type { ManifestEntry } from "../../../../src/fsutil/manifest-entry.js";
import type { Tree } from "../../../../src/fsutil/tree.js";
import { listing } from "../../fsutil/listing.js";

/** What a manifest of a tree has to say, found by walking and reading it without the scanner. */
export async function expectedEntries(tree: Tree): Promise<readonly ManifestEntry[]> {
  const entries: ManifestEntry[] = [];
  for (const stat of await listing(tree)) {
    const regular = isRegularMode(stat.mode);
    const sha256 = regular
      ? await contentSha256(tree, stat.path, stat.linkname === "" ? stat.size : undefined)
      : "";
    // Bytes are counted once, whatever links there are to them.
    entries.push({ ...stat, size: regular && stat.linkname === "" ? stat.size : 0, sha256 });
  }
  return entries;
}

/** sha256 over the canonical bytes of a tree, written anew from their description. */
export function canonicalDigest(entries: readonly ManifestEntry[]): string {
  const sum = createHash("sha256").update("kiln tree 1\n");
  const word = (value: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    sum.update(bytes);
  };
  const counted = (bytes: Uint8Array): void => {
    word(bytes.length);
    sum.update(bytes);
  };
  for (const entry of entries) {
    counted(Buffer.from(entry.path));
    for (const value of [entry.mode, entry.uid, entry.gid]) word(value);
    const size = Buffer.alloc(8);
    size.writeDoubleLE(entry.size);
    sum.update(size);
    counted(Buffer.from(entry.linkname));
    for (const value of [entry.devmajor, entry.devminor]) word(value);
    sum.update(entry.sha256 === "" ? Buffer.alloc(32) : Buffer.from(entry.sha256, "hex"));
    const xattrs = [...(entry.xattrs ?? [])].sort(([a], [b]) =>
      Buffer.compare(Buffer.from(a), Buffer.from(b)),
    );
    word(xattrs.length);
    for (const [name, value] of xattrs) {
      counted(Buffer.from(name));
      counted(value);
    }
  }
  return `sha256:${sum.digest("hex")}`;
}

async function contentSha256(tree: Tree, path: string, size: number | undefined): Promise<string> {
  const sum = createHash("sha256");
  for await (const chunk of tree.read(path, { size, chunkBytes: 64 * 1024 })) sum.update(chunk);
  return sum.digest("hex");
}

/** How much of a listing there is, as a manifest counts it. */
export function totals(entries: readonly ManifestEntry[]): Readonly<Record<string, number>> {
  return {
    count: entries.length,
    files: entries.filter(({ mode }) => isRegularMode(mode)).length,
    bytes: entries.reduce((sum, { size }) => sum + size, 0),
    directories: entries.filter(({ mode }) => isDirectoryMode(mode)).length,
    links: entries.filter(({ mode }) => (mode & FileMode.SYMLINK) !== 0).length,
  };
}

import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { compareNames } from "../../../src/fsutil/byte-order.js";
import { fileModeFromPosix } from "../../../src/fsutil/file-mode.js";
import type { ManifestEntry } from "../../../src/fsutil/manifest-entry.js";

const plain: ManifestEntry = {
  path: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  sha256: createHash("sha256").digest("hex"),
  linkname: "",
  modTime: 0n,
  devmajor: 0,
  devminor: 0,
  xattrs: undefined,
};

/** An entry of an empty file, but for what is given. */
export function entry(fields: Partial<ManifestEntry>): ManifestEntry {
  return { ...plain, ...fields };
}

/** What a scan finds in a directory, by the plainest means. */
export function scanEntries(root: string): ManifestEntry[] {
  const entries: ManifestEntry[] = [];
  const links = new Map<string, string>();
  const walk = (directory: string): void => {
    for (const name of readdirSync(join(root, directory)).sort(compareNames)) {
      const path = directory === "" ? name : `${directory}/${name}`;
      const stat = lstatSync(join(root, path), { bigint: true });
      const isFile = stat.isFile();
      const inode = `${stat.dev}:${stat.ino}`;
      const first = isFile ? links.get(inode) : undefined;
      if (isFile && stat.nlink > 1n && first === undefined) links.set(inode, path);
      entries.push({
        path,
        mode: fileModeFromPosix(Number(stat.mode)),
        uid: Number(stat.uid),
        gid: Number(stat.gid),
        size: isFile ? Number(stat.size) : 0,
        sha256: isFile
          ? createHash("sha256")
              .update(readFileSync(join(root, path)))
              .digest("hex")
          : "",
        linkname: stat.isSymbolicLink() ? readlinkSync(join(root, path)) : (first ?? ""),
        modTime: stat.mtimeNs,
        devmajor: 0,
        devminor: 0,
        xattrs: undefined,
      });
      if (stat.isDirectory()) walk(path);
    }
  };
  walk("");
  return entries;
}

import { createHash, hash } from "node:crypto";
import { changed } from "../../fsutil/file-errors.js";
import type { FileStat } from "../../fsutil/file-stat.js";
import type { ReadContentOptions } from "../../fsutil/source-file.js";
import { createTree, type Tree } from "../../fsutil/source-tree.js";
import type { TreeFilterOptions, Visit } from "../../fsutil/tree-filter.js";
import type { SourceEntry, SourceStat, TreeSource } from "../../fsutil/tree-source.js";
import { isDirectory } from "./posix-mode.js";
import { TreeCursor } from "./tree-cursor.js";
import type { TreeManifest } from "./tree-manifest.js";
import { shownMode, TreeView } from "./tree-view.js";

/** How {@link manifestTree} shows times. */
export interface ManifestTreeOptions {
  /**
   * `"content"` (default) makes up each modification time from what the path has, so that a receiver that goes by stats
   * asks for exactly what is different; `"keep"` has them as on disk.
   */
  readonly times?: "content" | "keep" | undefined;
}

/**
 * A scanned tree for sending: lists what the manifest says without looking at the disk, and reads the files from `tree`,
 * which must be the one that was scanned.
 *
 * A file is read only as it was scanned: {@link Tree.read} computes its sha256 while it is read and throws
 * `ERR_KILN_FILE_CHANGED` in place of the last chunk when it is another. So a receiver never has a whole file under a stat
 * that belongs to other content.
 *
 * Times made from content are 60 bits of a sha256 as nanoseconds from 1980 on, thus before July 2016: never in the future.
 * The same content, mode, owner, size, link and attributes always give the same time. Two that differ give the same with a
 * chance of 2⁻⁶⁰; it matters only for two states of one path that follow one another and have the same size and mode, as
 * receivers compare those too. Directories have one fixed time: receivers do not compare it, and no content is behind it.
 */
export function manifestTree(manifest: TreeManifest, tree: Tree, options: ManifestTreeOptions = {}): Tree {
  const source = new ManifestSource(manifest, tree.root, options.times === "keep");
  const listing = createTree(source, { ownership: "keep", permissions: "keep", xattrs: "off" }, {});
  return new VerifiedTree(manifest, listing, tree);
}

class VerifiedTree implements Tree {
  readonly #manifest: TreeManifest;
  readonly #listing: Tree;
  readonly #disk: Tree;

  constructor(manifest: TreeManifest, listing: Tree, disk: Tree) {
    this.#manifest = manifest;
    this.#listing = listing;
    this.#disk = disk;
  }

  get root(): string {
    return this.#disk.root;
  }

  walk(options?: Parameters<Tree["walk"]>[0]): ReturnType<Tree["walk"]> {
    return this.#listing.walk(options);
  }

  narrow(filter: TreeFilterOptions): Tree {
    return new VerifiedTree(this.#manifest, this.#listing.narrow(filter), this.#disk);
  }

  async *read(path: string, options: ReadContentOptions): AsyncGenerator<Uint8Array, void, void> {
    const expected = this.#manifest.contentDigest(path);
    const absolute = `${this.#disk.root}/${path}`;
    if (expected === undefined) throw changed(absolute, "it is no file that was scanned");
    const sum = createHash("sha256");
    let held: Uint8Array | undefined;
    for await (const chunk of this.#disk.read(path, options)) {
      if (held !== undefined) yield held;
      sum.update(chunk);
      held = chunk;
    }
    if (sum.digest("hex") !== expected) throw changed(absolute, "its content is not what was scanned");
    if (held !== undefined) yield held;
  }
}

/** 1980-01-01T00:00:00Z in nanoseconds. */
const FIRST_TIME = 315_532_800_000_000_000n;
/** 1980-01-01T00:00:02Z, the first time that a zip archive can hold after rounding. */
const DIRECTORY_TIME = FIRST_TIME + 2_000_000_000n;
const TIME_BITS = 60;

class ManifestSource implements TreeSource {
  readonly root: string;
  readonly #manifest: TreeManifest;
  readonly #view: TreeView;
  readonly #keepTimes: boolean;

  constructor(manifest: TreeManifest, root: string, keepTimes: boolean) {
    this.root = root;
    this.#manifest = manifest;
    this.#view = new TreeView(manifest.stored, manifest.stored.view);
    this.#keepTimes = keepTimes;
  }

  *walk(visit: Visit<SourceEntry>): Generator<void, void, void> {
    const { stored } = this.#manifest;
    const cursor = new TreeCursor(stored);
    while (cursor.next()) {
      const { entry, path } = cursor;
      const read = (): SourceStat => this.#stat(entry, path);
      const skip = visit({ path, isDirectory: isDirectory(stored.mode[entry] ?? 0), read });
      if (skip) cursor.skipInside();
      yield;
    }
  }

  #stat(entry: number, path: string): SourceStat {
    const { stored } = this.#manifest;
    const mode = stored.mode[entry] ?? 0;
    const first = this.#manifest.firstLink(entry);
    const [devmajor, devminor] = stored.extras.get(entry)?.device ?? [0, 0];
    const stat: Omit<FileStat, "modTime"> = {
      path,
      mode: shownMode(mode, stored.view),
      uid: this.#view.uid(entry),
      gid: this.#view.gid(entry),
      size: isDirectory(mode) ? 0 : (stored.size[entry] ?? 0),
      linkname: this.#view.target(entry),
      devmajor,
      devminor,
      xattrs: this.#manifest.xattrsAt(entry),
    };
    const modTime = this.#keepTimes ? (stored.mtimeNs[entry] ?? 0n) : this.#contentTime(entry, stat);
    return { stat: { ...stat, modTime }, inode: first === undefined ? undefined : String(first) };
  }

  /** All links of a file get the same, as they are one inode with one time. */
  #contentTime(entry: number, stat: Omit<FileStat, "modTime">): bigint {
    if (isDirectory(this.#manifest.stored.mode[entry] ?? 0)) return DIRECTORY_TIME;
    const { mode, uid, gid, size, linkname, devmajor, devminor } = stat;
    const xattrs = this.#manifest.stored.extras.get(entry)?.xattrs ?? [];
    const what = [mode, uid, gid, size, linkname, devmajor, devminor, this.#manifest.sha256At(entry), xattrs];
    const digest = hash("sha256", JSON.stringify(what));
    return FIRST_TIME + BigInt(`0x${digest.slice(0, TIME_BITS / 4)}`);
  }

  locate(path: string): string {
    return `${this.root}/${path}`;
  }

  readLink(path: string): string | undefined {
    return this.#manifest.readLink(path);
  }

  listNames(path: string): readonly string[] {
    return this.#manifest.namesIn(path);
  }
}

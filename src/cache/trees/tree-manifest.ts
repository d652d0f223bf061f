import { compareNames } from "../../fsutil/byte-order.js";
import type { ManifestEntry } from "../../fsutil/manifest-entry.js";
import { isDirectory, isRegular, isSymlink } from "./posix-mode.js";
import { EntryFlag, NO_LINK, readStoredTree, type StoredTree } from "./stored-tree.js";
import { TreeCursor } from "./tree-cursor.js";
import { shownMode, TreeView } from "./tree-view.js";

/** What a scan found: every path of a tree with all that it puts into an image. Immutable; about 110 bytes a path. */
export class TreeManifest {
  /** The tree in its stored form, for this room. */
  readonly stored: StoredTree;
  /**
   * Identity of the tree: `sha256:` and hex over paths, kinds, modes, owners, sizes, links, contents, devices and extended
   * attributes as the scan's view shows them, and over times only where the view keeps them. The same wherever the tree
   * lies. `sumTree` has the bytes.
   */
  readonly digest: `sha256:${string}`;
  #last: { readonly path: string; readonly directory: number; readonly names: readonly string[] } | undefined;

  /** Of a stored tree that is whole. */
  constructor(stored: StoredTree) {
    this.stored = stored;
    this.digest = `sha256:${stored.digest.toString("hex")}`;
  }

  /** Paths. */
  get count(): number {
    return this.stored.count;
  }

  /** Regular files, further hard links among them. */
  get files(): number {
    return this.stored.files;
  }

  /** Bytes of the regular files, each hard-linked one once. */
  get bytes(): number {
    return this.stored.contentBytes;
  }

  /**
   * All paths in the protocol's order: depth-first, siblings in byte order. As {@link Tree.walk} has it, a further hard
   * link has size 0 and the first one's path in `linkname`. The caller lets the event loop turn.
   */
  *entries(): Generator<ManifestEntry, void, void> {
    const cursor = new TreeCursor(this.stored);
    const view = new TreeView(this.stored, this.stored.view);
    const firstLinks = new Map<number, string>();
    while (cursor.next()) yield this.#entry(cursor, view, firstLinks);
  }

  /** One path as {@link entries} has it; `undefined` if there is none, or if it is a further hard link. */
  entryAt(path: string): ManifestEntry | undefined {
    const entry = this.find(path);
    const first = entry === undefined ? undefined : this.firstLink(entry);
    if (entry === undefined || (first !== undefined && first !== entry)) return undefined;
    return this.#entry({ entry, path }, new TreeView(this.stored, this.stored.view), new Map());
  }

  #entry(
    { entry, path }: Pick<TreeCursor, "entry" | "path">,
    view: TreeView,
    firstLinks: Map<number, string>,
  ): ManifestEntry {
    const { stored } = this;
    const mode = stored.mode[entry] ?? 0;
    const first = this.firstLink(entry);
    if (first === entry) firstLinks.set(entry, path);
    const further = first !== undefined && first !== entry;
    const extra = stored.extras.get(entry);
    const [devmajor, devminor] = extra?.device ?? [0, 0];
    return {
      path,
      mode: shownMode(mode, stored.view),
      uid: view.uid(entry),
      gid: view.gid(entry),
      size: isRegular(mode) && !further ? (stored.size[entry] ?? 0) : 0,
      sha256: this.sha256At(entry),
      linkname: further ? (firstLinks.get(first) ?? "") : view.target(entry),
      modTime: stored.mtimeNs[entry] ?? 0n,
      devmajor,
      devminor,
      xattrs: this.xattrsAt(entry),
    };
  }

  /** sha256 in hex of a regular file's content, as it was scanned; `undefined` for all else. */
  contentDigest(path: string): string | undefined {
    const entry = this.find(path);
    return entry === undefined ? undefined : this.sha256At(entry) || undefined;
  }

  /** The entry of a path, for this room. */
  find(path: string): number | undefined {
    const slash = path.lastIndexOf("/");
    const directory = this.#directory(path.slice(0, Math.max(slash, 0)));
    if (directory === undefined) return undefined;
    const at = searchName(directory.names, path.slice(slash + 1));
    if (at < 0) return undefined;
    const entry = (this.stored.start[directory.directory] ?? 0) + at;
    return ((this.stored.flags[entry] ?? 0) & EntryFlag.LISTED) === 0 ? undefined : entry;
  }

  /** The names in a directory; none when there is none. */
  namesIn(path: string): readonly string[] {
    const found = this.#directory(path);
    if (found === undefined) return [];
    const first = this.stored.start[found.directory] ?? 0;
    return found.names.filter((_, at) => ((this.stored.flags[first + at] ?? 0) & EntryFlag.LISTED) !== 0);
  }

  /** A symlink's target; `undefined` when the path is none. */
  readLink(path: string): string | undefined {
    const entry = this.find(path);
    return entry !== undefined && isSymlink(this.stored.mode[entry] ?? 0)
      ? this.stored.targetOf(entry)
      : undefined;
  }

  /** sha256 in hex of an entry that is a regular file, else empty. */
  sha256At(entry: number): string {
    if (!isRegular(this.stored.mode[entry] ?? 0)) return "";
    return this.stored.sha256.toString("hex", 32 * entry, 32 * entry + 32);
  }

  /** The first hard link's entry; `undefined` for what has no other links. */
  firstLink(entry: number): number | undefined {
    if (((this.stored.flags[entry] ?? 0) & EntryFlag.SHARED) === 0) return undefined;
    const link = this.stored.link[entry] ?? NO_LINK;
    return link === NO_LINK ? entry : link;
  }

  /** Extended attributes of an entry. */
  xattrsAt(entry: number): ReadonlyMap<string, Uint8Array> | undefined {
    const xattrs = this.stored.extras.get(entry)?.xattrs;
    if (xattrs === undefined) return undefined;
    return new Map(xattrs.map(([name, value]) => [name, Buffer.from(value, "base64")]));
  }

  #directory(path: string): { readonly directory: number; readonly names: readonly string[] } | undefined {
    if (this.#last?.path === path) return this.#last;
    const entry = path === "" ? undefined : this.find(path);
    if (path !== "" && (entry === undefined || !isDirectory(this.stored.mode[entry] ?? 0))) return undefined;
    const directory = entry === undefined ? 0 : (this.stored.link[entry] ?? 0);
    this.#last = { path, directory, names: this.stored.namesIn(directory) };
    return this.#last;
  }
}

/** Reads an encoded manifest, as it was written; `undefined` for one of another version, or cut off, or none at all. */
export function decodeManifest(bytes: Uint8Array): TreeManifest | undefined {
  const stored = readStoredTree(bytes, () => false);
  return stored === undefined ? undefined : new TreeManifest(stored);
}

/** A manifest as bytes, in the form that `stored-tree.ts` describes. Not to be changed: the manifest lives in them. */
export function encodeManifest(manifest: TreeManifest): Uint8Array {
  return manifest.stored.bytes;
}

function searchName(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const order = compareNames(names[middle] ?? "", name);
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

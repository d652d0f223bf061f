import { createHash, type Hash } from "node:crypto";
import { lstatSync } from "node:fs";
import { isDirectory, isRegular } from "./posix-mode.js";
import type { ScanScope } from "./scan-scope.js";
import { EntryFlag, NO_LINK, type StoredTree, type TreeSummary } from "./stored-tree.js";
import { shownMode, TreeView } from "./tree-view.js";

/** First of the canonical bytes: changes with their form. */
const CANONICAL = "kiln tree 1\n";
const BUFFER_BYTES = 64 * 1024;
const SLASH = 0x2f;
const NO_DEVICE = [0, 0] as const;

/** How a tree is shown, and where it is on disk. Plain data, for threads. */
export type SumPlace = Pick<ScanScope, "view" | "prefix">;

/** What a pass over a whole tree finds out. */
export interface TreeSums extends Pick<TreeSummary, "count" | "files" | "contentBytes"> {
  readonly digest: Uint8Array;
}

/**
 * Names the first of each file's hard links, and computes the tree's digest: sha256 of its canonical bytes, which are the
 * same for the same tree on every machine and wherever it lies. Yields often.
 *
 * Canonical bytes, version 1: the text `kiln tree 1` and a line feed, then for each listed entry in the protocol's order
 * (depth-first, siblings in byte order), numbers little-endian:
 *
 * - u32 length of the path in UTF-8, the path;
 * - u32 mode as Go's `os.FileMode`, as the tree shows it; u32 uid, u32 gid;
 * - f64 size of a regular file, 0 for all else and for further hard links;
 * - u32 length of the link's target, or of the path of the first hard link, then that text;
 * - u32 major, u32 minor number of a device;
 * - 32 bytes sha256 of a regular file's content, zeros for all else;
 * - u32 number of extended attributes, for each in byte order of the names u32 length and name, u32 length and value;
 * - where the tree shows times, i64 modification time in ns; nothing otherwise.
 */
export function* sumTree(tree: StoredTree, { view, prefix = "" }: SumPlace): Generator<void, TreeSums, void> {
  const firstLinks = new Map<string, { readonly entry: number; readonly path: string }>();
  const shown = new TreeView(tree, view);
  const out = new CanonicalWriter();
  const cursor = new ByteCursor(tree);
  let count = 0;
  let files = 0;
  let contentBytes = 0;
  out.text(CANONICAL);
  while (cursor.next()) {
    const { entry } = cursor;
    const flags = tree.flags[entry] ?? 0;
    let linkname: string | undefined;
    if ((flags & EntryFlag.SHARED) !== 0) {
      const path = cursor.path();
      const inode = inodeOf(tree, entry, prefix + path);
      const first = firstLinks.get(inode);
      if (first === undefined) firstLinks.set(inode, { entry, path });
      tree.link[entry] = first?.entry ?? NO_LINK;
      linkname = first?.path;
    }
    const mode = tree.mode[entry] ?? 0;
    const size = isRegular(mode) && linkname === undefined ? (tree.size[entry] ?? 0) : 0;
    count += 1;
    if (isRegular(mode)) files += 1;
    contentBytes += size;
    const extra = tree.extras.get(entry);
    const [major, minor] = extra?.device ?? NO_DEVICE;
    out.path(cursor);
    out.word(shownMode(mode, view));
    out.word(shown.uid(entry));
    out.word(shown.gid(entry));
    out.double(size);
    out.counted(linkname ?? shown.target(entry));
    out.word(major);
    out.word(minor);
    out.bytes(tree.sha256, 32 * entry, 32 * entry + 32);
    const xattrs = extra?.xattrs;
    out.word(xattrs?.length ?? 0);
    for (const [name, value] of xattrs ?? []) {
      out.counted(name);
      const bytes = Buffer.from(value, "base64");
      out.word(bytes.length);
      out.bytes(bytes, 0, bytes.length);
    }
    if (shown.keepsTimes) out.time(tree.mtimeNs[entry] ?? 0n);
    yield;
  }
  return { count, files, contentBytes, digest: out.digest() };
}

/** What is the same for all links of a file. Numbers that a double cannot hold are asked for again. */
function inodeOf(tree: StoredTree, entry: number, absolute: string): string {
  const ino = tree.ino[entry] ?? 0;
  if (Number.isSafeInteger(ino)) return `${tree.dev[entry]}:${ino}`;
  const exact = lstatSync(absolute, { bigint: true, throwIfNoEntry: false });
  return exact === undefined ? `gone:${entry}` : `${exact.dev}:${exact.ino}`;
}

/** Goes through the listed entries in the protocol's order, as `TreeCursor` does, and makes no text of their names. */
class ByteCursor {
  entry = -1;
  readonly tree: StoredTree;
  /** The directory that the entry is in. */
  directory = 0;
  /** Where its name is, in the tree's names. */
  nameFrom = 0;
  nameTo = 0;
  readonly #directories: number[] = [0];
  readonly #entries: number[];
  readonly #offsets: number[];

  constructor(tree: StoredTree) {
    this.tree = tree;
    this.#entries = [tree.start[0] ?? 0];
    this.#offsets = [tree.nameAt[0] ?? 0];
  }

  next(): boolean {
    const { tree } = this;
    for (let top = this.#directories.length - 1; top >= 0; top = this.#directories.length - 1) {
      const directory = this.#directories[top] ?? 0;
      const entry = this.#entries[top] ?? 0;
      if (entry >= (tree.start[directory + 1] ?? 0)) {
        this.#directories.pop();
        this.#entries.pop();
        this.#offsets.pop();
        continue;
      }
      const from = this.#offsets[top] ?? 0;
      const end = tree.nameAt[directory + 1] ?? 0;
      let to = from;
      while (to < end && tree.names[to] !== SLASH) to += 1;
      this.#entries[top] = entry + 1;
      this.#offsets[top] = to + 1;
      if (((tree.flags[entry] ?? 0) & EntryFlag.LISTED) === 0) continue;
      this.entry = entry;
      this.directory = directory;
      this.nameFrom = from;
      this.nameTo = to;
      if (isDirectory(tree.mode[entry] ?? 0)) {
        const inside = tree.link[entry] ?? 0;
        this.#directories.push(inside);
        this.#entries.push(tree.start[inside] ?? 0);
        this.#offsets.push(tree.nameAt[inside] ?? 0);
      }
      return true;
    }
    return false;
  }

  path(): string {
    const parent = this.tree.pathOf(this.directory);
    const name = this.tree.names.toString("utf8", this.nameFrom, this.nameTo);
    return parent === "" ? name : `${parent}/${name}`;
  }
}

class CanonicalWriter {
  readonly #hash: Hash = createHash("sha256");
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #at = 0;

  text(text: string): void {
    this.#room(text.length * 3);
    this.#at += this.#buffer.write(text, this.#at);
  }

  /** The length and path of a cursor's entry. */
  path({ tree, directory, nameFrom, nameTo }: ByteCursor): void {
    const [from, to] = [tree.pathAt[directory] ?? 0, tree.pathAt[directory + 1] ?? 0];
    const parent = from === to ? 0 : to - from + 1;
    this.word(parent + nameTo - nameFrom);
    if (parent > 0) {
      this.bytes(tree.paths, from, to);
      this.#room(1);
      this.#buffer[this.#at] = SLASH;
      this.#at += 1;
    }
    this.bytes(tree.names, nameFrom, nameTo);
  }

  counted(text: string): void {
    if (text === "") {
      this.word(0);
      return;
    }
    // At most three bytes a UTF-16 unit; paths and targets have 4,095 at most, attributes' names 255.
    this.#room(text.length * 3 + 4);
    const length = this.#buffer.write(text, this.#at + 4);
    this.#buffer.writeUInt32LE(length, this.#at);
    this.#at += 4 + length;
  }

  word(value: number): void {
    this.#room(4);
    const [buffer, at] = [this.#buffer, this.#at];
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
    this.#at = at + 4;
  }

  double(value: number): void {
    this.#room(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  time(value: bigint): void {
    this.#room(8);
    this.#at = this.#buffer.writeBigInt64LE(value, this.#at);
  }

  bytes(source: Buffer, from: number, to: number): void {
    if (to - from > BUFFER_BYTES) {
      this.#flush();
      this.#hash.update(source.subarray(from, to));
      return;
    }
    this.#room(to - from);
    const [buffer, start] = [this.#buffer, this.#at - from];
    // A loop: a call costs more than copying what is mostly some dozens of bytes.
    for (let at = from; at < to; at += 1) buffer[start + at] = source[at] ?? 0;
    this.#at = start + to;
  }

  digest(): Buffer {
    this.#flush();
    return this.#hash.digest();
  }

  #room(bytes: number): void {
    if (this.#at + bytes > BUFFER_BYTES) this.#flush();
  }

  #flush(): void {
    this.#hash.update(this.#buffer.subarray(0, this.#at));
    this.#at = 0;
  }
}

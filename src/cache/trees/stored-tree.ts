import { crc32 } from "node:zlib";

/**
 * The file format of scanned trees, version 2. Everything is little-endian; offsets are in bytes.
 *
 *     0  "KILNTREE"
 *     8  u32  format version
 *    12  u32  crc32 of the bytes from 16 to 136: who keeps a tree sees to the rest, which takes as long to sum as to read
 *    16  u32  entries (E)            20  u32  directories (D)
 *    24  u32  bytes of names         28  u32  bytes of paths
 *    32  u32  bytes of link targets  36  u32  bytes of extras
 *    40  u32  listed entries         44  u32  listed regular files
 *    48  f64  bytes of the listed regular files
 *    56  f64  clock at the beginning of the scan, ms since the epoch
 *    64  u32  view flags, see `ViewFlag`; 4 bytes of zeros
 *    72  sha256 of the tree's canonical bytes
 *   104  sha256 of what was scanned: root, patterns, further files, view
 *   136  columns, one value an entry:
 *          f64  st_dev, st_ino, st_size, mtime and ctime in ms as Node's `lstat` gives them
 *          i64  mtime in ns
 *        then one value a directory and one more:
 *          u32  first child's entry, offset of the children's names, offset of the directory's path
 *        then one value an entry:
 *          u32  st_mode, uid, gid
 *          u32  for a directory its number, for a symlink the offset of its target, for a further hard link the entry of
 *               the first, else 0xffffffff
 *        then one value a directory: u8 flags, see `DirectoryFlag`
 *        then one value an entry: u8 flags, see `EntryFlag`; 32 bytes sha256 of a regular file's content
 *        names: for each directory its children's, joined by "/"
 *        paths: of each directory, relative to the root, which is directory 0
 *        link targets, each with a NUL at its end
 *        extras: JSON, see `Extras`
 *
 * Directories are numbered in the order of a depth-first walk, the children of each stand together in byte order. So one
 * directory is compared with the disk by a look at a few adjacent places, without an object for any file.
 */
const MAGIC = "KILNTREE";
const VERSION = 2;
const HEADER_BYTES = 136;
const CHECKED_FROM = 16;
const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** No link: see {@link StoredTree.link}. */
export const NO_LINK = 0xffffffff;

/** How entries are shown. */
export const ViewFlag = { NORMALIZE: 1, KEEP_OWNERS: 2, KEEP_TIMES: 4 } as const;

/** What is known of an entry. */
export const EntryFlag = {
  /** Part of the tree. Others are directories that were only passed through, and what vanished during the scan. */
  LISTED: 1,
  /** Its stat is too young to tell a later change by it. */
  UNTRUSTED: 2,
  /** There are other hard links to it, in the tree or elsewhere. */
  SHARED: 4,
  /** Passes the filter by itself. */
  WANTED: 8,
  /** Is no file of the root, but one of the further files or a directory above one. */
  OVERLAY: 16,
} as const;

/** What is known of a directory. */
export const DirectoryFlag = {
  /** Has to be looked at by a whole walk: something in it is untrusted, vanished or from elsewhere. */
  DIRTY: 1,
} as const;

/** What few entries have, by entry. */
export interface Extra {
  /** `st_rdev` of a device: major and minor number. */
  readonly device?: readonly [number, number];
  /** Extended attributes, values in base64. */
  readonly xattrs?: readonly (readonly [string, string])[];
}

/** Extras by entry. */
export type Extras = ReadonlyMap<number, Extra>;

/** Sizes that give every column its place. */
export interface TreeShape {
  readonly entries: number;
  readonly directories: number;
  readonly nameBytes: number;
  readonly pathBytes: number;
  readonly targetBytes: number;
  readonly extraBytes: number;
}

/** A scanned tree in its file's own form, read where it lies. */
export class StoredTree {
  readonly shape: TreeShape;
  readonly bytes: Buffer;
  readonly dev: Float64Array;
  readonly ino: Float64Array;
  readonly size: Float64Array;
  readonly mtimeMs: Float64Array;
  readonly ctimeMs: Float64Array;
  readonly mtimeNs: BigInt64Array;
  /** By directory, and one more: its first child's entry. */
  readonly start: Uint32Array;
  readonly nameAt: Uint32Array;
  readonly pathAt: Uint32Array;
  readonly mode: Uint32Array;
  readonly uid: Uint32Array;
  readonly gid: Uint32Array;
  /** A directory's number, a symlink's target, a hard link's first link, or {@link NO_LINK}. */
  readonly link: Uint32Array;
  readonly directoryFlags: Uint8Array;
  readonly flags: Uint8Array;
  readonly sha256: Buffer;
  readonly names: Buffer;
  readonly paths: Buffer;
  readonly targets: Buffer;
  readonly extraJson: Buffer;
  #extras: Extras | undefined;

  /** `memory` is as long as {@link encodedLength} says and holds a tree, or is about to. */
  constructor(memory: ArrayBufferLike, shape: TreeShape) {
    this.shape = shape;
    this.bytes = Buffer.from(memory);
    let at = HEADER_BYTES;
    const take = (bytes: number): number => {
      const from = at;
      at += bytes;
      return from;
    };
    const { entries, directories } = shape;
    const doubles = (): Float64Array => new Float64Array(memory, take(8 * entries), entries);
    this.dev = doubles();
    this.ino = doubles();
    this.size = doubles();
    this.mtimeMs = doubles();
    this.ctimeMs = doubles();
    this.mtimeNs = new BigInt64Array(memory, take(8 * entries), entries);
    const words = (count: number): Uint32Array => new Uint32Array(memory, take(4 * count), count);
    this.start = words(directories + 1);
    this.nameAt = words(directories + 1);
    this.pathAt = words(directories + 1);
    this.mode = words(entries);
    this.uid = words(entries);
    this.gid = words(entries);
    this.link = words(entries);
    this.directoryFlags = new Uint8Array(memory, take(directories), directories);
    this.flags = new Uint8Array(memory, take(entries), entries);
    const bytes = (length: number): Buffer => Buffer.from(memory, take(length), length);
    this.sha256 = bytes(32 * entries);
    this.names = bytes(shape.nameBytes);
    this.paths = bytes(shape.pathBytes);
    this.targets = bytes(shape.targetBytes);
    this.extraJson = bytes(shape.extraBytes);
  }

  /** The names inside a directory, in the order of its entries. */
  namesIn(directory: number): string[] {
    const from = this.nameAt[directory] ?? 0;
    const to = this.nameAt[directory + 1] ?? 0;
    return this.start[directory] === this.start[directory + 1]
      ? []
      : this.names.toString("utf8", from, to).split("/");
  }

  /** A directory's path: empty for the root. */
  pathOf(directory: number): string {
    return this.paths.toString("utf8", this.pathAt[directory], this.pathAt[directory + 1]);
  }

  /** A symlink's target. */
  targetOf(entry: number): string {
    const from = this.link[entry] ?? 0;
    return this.targets.toString("utf8", from, this.targets.indexOf(0, from));
  }

  /** What few entries have. */
  get extras(): Extras {
    if (this.#extras === undefined) {
      const json = this.shape.extraBytes === 0 ? "[]" : this.extraJson.toString("utf8");
      this.#extras = new Map(JSON.parse(json) as [number, Extra][]);
    }
    return this.#extras;
  }

  /** Listed entries. */
  get count(): number {
    return this.bytes.readUInt32LE(40);
  }

  /** Listed regular files, further hard links among them. */
  get files(): number {
    return this.bytes.readUInt32LE(44);
  }

  /** Bytes of the listed regular files, each hard-linked one once. */
  get contentBytes(): number {
    return this.bytes.readDoubleLE(48);
  }

  /** The clock when the scan began, in milliseconds since the epoch. */
  get scannedAt(): number {
    return this.bytes.readDoubleLE(56);
  }

  /** Bits of {@link ViewFlag}. */
  get view(): number {
    return this.bytes.readUInt32LE(64);
  }

  /** sha256 of the canonical bytes. */
  get digest(): Buffer {
    return this.bytes.subarray(72, 104);
  }

  /** sha256 of what was scanned and how. */
  get scope(): Buffer {
    return this.bytes.subarray(104, 136);
  }
}

/** Bytes of an encoded tree. */
export function encodedLength(shape: TreeShape): number {
  const { entries, directories, nameBytes, pathBytes, targetBytes, extraBytes } = shape;
  const fixed = HEADER_BYTES + entries * (6 * 8 + 4 * 4 + 1 + 32) + directories + (directories + 1) * 12;
  return fixed + nameBytes + pathBytes + targetBytes + extraBytes;
}

/** What the header says beside the shape. */
export interface TreeSummary {
  readonly count: number;
  readonly files: number;
  readonly contentBytes: number;
  readonly scannedAt: number;
  readonly view: number;
  readonly scope: Uint8Array;
}

/** Writes the header; everything but the digest and the checksum. */
export function writeHeader({ bytes, shape }: StoredTree, summary: TreeSummary): void {
  bytes.write(MAGIC, 0, "latin1");
  const words = [
    ...[VERSION, 0, shape.entries, shape.directories, shape.nameBytes, shape.pathBytes],
    ...[shape.targetBytes, shape.extraBytes, summary.count, summary.files],
  ];
  for (const [index, word] of words.entries()) bytes.writeUInt32LE(word, 8 + 4 * index);
  bytes.writeDoubleLE(summary.contentBytes, 48);
  bytes.writeDoubleLE(summary.scannedAt, 56);
  bytes.writeUInt32LE(summary.view, 64);
  bytes.set(summary.scope, 104);
}

/** Writes digest and checksum, the last of an encoded tree. */
export function sealTree({ bytes }: StoredTree, digest: Uint8Array): void {
  bytes.set(digest, 72);
  bytes.writeUInt32LE(crc32(bytes.subarray(CHECKED_FROM, HEADER_BYTES)), 12);
}

/**
 * Reads an encoded tree, as it was written; `undefined` for one of another version, or cut off, or none at all.
 *
 * @param shared - Puts it where other threads see it.
 */
export function readStoredTree(
  bytes: Uint8Array,
  shared: (entries: number) => boolean,
): StoredTree | undefined {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isLittleEndian || source.length < HEADER_BYTES || source.toString("latin1", 0, 8) !== MAGIC)
    return undefined;
  if (source.readUInt32LE(8) !== VERSION) return undefined;
  const [entries, directories, nameBytes, pathBytes, targetBytes, extraBytes] = [16, 20, 24, 28, 32, 36].map(
    (at) => source.readUInt32LE(at),
  ) as [number, number, number, number, number, number];
  const shape = { entries, directories, nameBytes, pathBytes, targetBytes, extraBytes };
  if (directories === 0 || encodedLength(shape) !== source.length) return undefined;
  if (source.readUInt32LE(12) !== crc32(source.subarray(CHECKED_FROM, HEADER_BYTES))) return undefined;
  if (!shared(entries) && source.byteOffset % 8 === 0 && source.length === source.buffer.byteLength) {
    return new StoredTree(source.buffer, shape);
  }
  const memory = shared(entries) ? new SharedArrayBuffer(source.length) : new ArrayBuffer(source.length);
  new Uint8Array(memory).set(source);
  return new StoredTree(memory, shape);
}

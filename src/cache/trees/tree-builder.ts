import {
  DirectoryFlag,
  type Extra,
  encodedLength,
  NO_LINK,
  StoredTree,
  type TreeShape,
} from "./stored-tree.js";

/** What `lstat` says of an entry, in the numbers that are compared. */
export interface EntryStat {
  readonly dev: number;
  readonly ino: number;
  readonly mode: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly uid: number;
  readonly gid: number;
}

type StatColumns = Record<keyof EntryStat, { [entry: number]: number }>;

/** Writes an entry's stat into the columns of a tree. */
export function putStat(columns: StatColumns, entry: number, stat: EntryStat): void {
  columns.dev[entry] = stat.dev;
  columns.ino[entry] = stat.ino;
  columns.size[entry] = stat.size;
  columns.mtimeMs[entry] = stat.mtimeMs;
  columns.ctimeMs[entry] = stat.ctimeMs;
  columns.mode[entry] = stat.mode;
  columns.uid[entry] = stat.uid;
  columns.gid[entry] = stat.gid;
}

/** Room that is not written to yet costs no memory; what is copied to grow costs it twice. */
const LEAST_CAPACITY = 128 * 1024;
const GROWTH = 4;

/** Columns of a tree that is being scanned; they grow as needed, and become a {@link StoredTree} in the end. */
export class TreeBuilder {
  dev: Float64Array;
  ino: Float64Array;
  size: Float64Array;
  mtimeMs: Float64Array;
  ctimeMs: Float64Array;
  mtimeNs: BigInt64Array;
  mode: Uint32Array;
  uid: Uint32Array;
  gid: Uint32Array;
  link: Uint32Array;
  flags: Uint8Array;
  sha256: Uint8Array;
  readonly extras = new Map<number, Extra>();
  readonly directoryFlags: number[] = [];
  readonly #start: number[] = [];
  readonly #nameAt: number[] = [];
  readonly #pathAt: number[] = [];
  readonly #names = new ByteList();
  readonly #paths = new ByteList();
  readonly #targets = new ByteList();
  #capacity: number;
  #entries = 0;

  /** @param expected - Entries that are expected; more are taken too. */
  constructor(expected: number) {
    const capacity = Math.max(LEAST_CAPACITY, Math.ceil(expected * 1.05));
    this.#capacity = capacity;
    this.dev = new Float64Array(capacity);
    this.ino = new Float64Array(capacity);
    this.size = new Float64Array(capacity);
    this.mtimeMs = new Float64Array(capacity);
    this.ctimeMs = new Float64Array(capacity);
    this.mtimeNs = new BigInt64Array(capacity);
    this.mode = new Uint32Array(capacity);
    this.uid = new Uint32Array(capacity);
    this.gid = new Uint32Array(capacity);
    this.link = new Uint32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.sha256 = new Uint8Array(32 * capacity);
  }

  /** Entries so far. */
  get entries(): number {
    return this.#entries;
  }

  /** Begins the next directory: its children follow by {@link add} or {@link copy}, then {@link closeDirectory}. */
  openDirectory(path: string): number {
    this.#start.push(this.#entries);
    this.#nameAt.push(this.#names.length);
    this.#pathAt.push(this.#paths.length);
    this.#paths.text(path);
    this.directoryFlags.push(0);
    return this.#start.length - 1;
  }

  /** Adds a child of the directory begun last, in byte order of the names. Returns its entry. */
  add(name: string, stat: EntryStat): number {
    const entry = this.#entries;
    if (entry === this.#capacity) this.#grow(entry + 1);
    this.#entries += 1;
    if (entry > (this.#start.at(-1) ?? 0)) this.#names.text("/");
    this.#names.text(name);
    this.setStat(entry, stat);
    this.link[entry] = NO_LINK;
    this.flags[entry] = 0;
    return entry;
  }

  /** An entry's stat. */
  stat(entry: number): EntryStat {
    return {
      dev: this.dev[entry] ?? 0,
      ino: this.ino[entry] ?? 0,
      mode: this.mode[entry] ?? 0,
      size: this.size[entry] ?? 0,
      mtimeMs: this.mtimeMs[entry] ?? 0,
      ctimeMs: this.ctimeMs[entry] ?? 0,
      uid: this.uid[entry] ?? 0,
      gid: this.gid[entry] ?? 0,
    };
  }

  /** Puts another stat in an entry's place. */
  setStat(entry: number, stat: EntryStat): void {
    putStat(this, entry, stat);
  }

  /** Notes a symlink's target. */
  setTarget(entry: number, target: string): void {
    this.link[entry] = this.#targets.length;
    this.#targets.text(target);
    this.#targets.text("\0");
  }

  /** Takes over all children of a directory of another tree. Links, targets and flags are the caller's business. */
  copy(from: StoredTree, directory: number): void {
    const first = from.start[directory] ?? 0;
    const end = from.start[directory + 1] ?? 0;
    const at = this.#entries;
    const after = at + end - first;
    if (after > this.#capacity) this.#grow(after);
    this.#entries = after;
    this.dev.set(from.dev.subarray(first, end), at);
    this.ino.set(from.ino.subarray(first, end), at);
    this.size.set(from.size.subarray(first, end), at);
    this.mtimeMs.set(from.mtimeMs.subarray(first, end), at);
    this.ctimeMs.set(from.ctimeMs.subarray(first, end), at);
    this.mtimeNs.set(from.mtimeNs.subarray(first, end), at);
    this.mode.set(from.mode.subarray(first, end), at);
    this.uid.set(from.uid.subarray(first, end), at);
    this.gid.set(from.gid.subarray(first, end), at);
    this.flags.set(from.flags.subarray(first, end), at);
    this.sha256.set(from.sha256.subarray(32 * first, 32 * end), 32 * at);
    this.link.fill(NO_LINK, at, after);
    this.#names.bytes(from.names.subarray(from.nameAt[directory], from.nameAt[directory + 1]));
  }

  /** By directory: its first child's entry. */
  starts(): readonly number[] {
    return this.#start;
  }

  /** Says that a directory has to be looked at by the next scan. */
  markDirty(directory: number): void {
    this.directoryFlags[directory] = (this.directoryFlags[directory] ?? 0) | DirectoryFlag.DIRTY;
  }

  /** The tree in its file's form, header and digest excepted. The builder is of no further use. */
  finish(): StoredTree {
    const entries = this.#entries;
    const extras = this.extras.size === 0 ? Buffer.alloc(0) : Buffer.from(JSON.stringify([...this.extras]));
    const shape: TreeShape = {
      entries,
      directories: this.#start.length,
      nameBytes: this.#names.length,
      pathBytes: this.#paths.length,
      targetBytes: this.#targets.length,
      extraBytes: extras.length,
    };
    const tree = new StoredTree(new ArrayBuffer(encodedLength(shape)), shape);
    tree.dev.set(this.dev.subarray(0, entries));
    tree.ino.set(this.ino.subarray(0, entries));
    tree.size.set(this.size.subarray(0, entries));
    tree.mtimeMs.set(this.mtimeMs.subarray(0, entries));
    tree.ctimeMs.set(this.ctimeMs.subarray(0, entries));
    tree.mtimeNs.set(this.mtimeNs.subarray(0, entries));
    tree.mode.set(this.mode.subarray(0, entries));
    tree.uid.set(this.uid.subarray(0, entries));
    tree.gid.set(this.gid.subarray(0, entries));
    tree.link.set(this.link.subarray(0, entries));
    tree.flags.set(this.flags.subarray(0, entries));
    tree.sha256.set(this.sha256.subarray(0, 32 * entries));
    tree.start.set([...this.#start, entries]);
    tree.nameAt.set([...this.#nameAt, this.#names.length]);
    tree.pathAt.set([...this.#pathAt, this.#paths.length]);
    tree.directoryFlags.set(this.directoryFlags);
    tree.names.set(this.#names.taken());
    tree.paths.set(this.#paths.taken());
    tree.targets.set(this.#targets.taken());
    tree.extraJson.set(extras);
    return tree;
  }

  #grow(least: number): void {
    const capacity = Math.max(least, GROWTH * this.#capacity);
    this.#capacity = capacity;
    const doubles = (old: Float64Array): Float64Array => {
      const grown = new Float64Array(capacity);
      grown.set(old);
      return grown;
    };
    const words = (old: Uint32Array): Uint32Array => {
      const grown = new Uint32Array(capacity);
      grown.set(old);
      return grown;
    };
    const bytes = (old: Uint8Array, length: number): Uint8Array => {
      const grown = new Uint8Array(length);
      grown.set(old);
      return grown;
    };
    this.dev = doubles(this.dev);
    this.ino = doubles(this.ino);
    this.size = doubles(this.size);
    this.mtimeMs = doubles(this.mtimeMs);
    this.ctimeMs = doubles(this.ctimeMs);
    const times = new BigInt64Array(capacity);
    times.set(this.mtimeNs);
    this.mtimeNs = times;
    this.mode = words(this.mode);
    this.uid = words(this.uid);
    this.gid = words(this.gid);
    this.link = words(this.link);
    this.flags = bytes(this.flags, capacity);
    this.sha256 = bytes(this.sha256, 32 * capacity);
  }
}

/** Bytes that texts are appended to. */
class ByteList {
  length = 0;
  #buffer = Buffer.allocUnsafe(4096);

  text(text: string): void {
    this.#reserve(text.length * 3);
    this.length += this.#buffer.write(text, this.length);
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  taken(): Uint8Array {
    return this.#buffer.subarray(0, this.length);
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.length + more, 2 * this.#buffer.length));
    this.#buffer.copy(grown, 0, 0, this.length);
    this.#buffer = grown;
  }
}

import { createHash } from "node:crypto";
import { KilnError } from "../errors.js";
import { chmodBits, FileMode, isDirectoryMode, isRegularMode, isSymlinkMode } from "../fsutil/file-mode.js";
import type { ManifestEntry } from "../fsutil/manifest-entry.js";
import type { LayerCompression } from "./layer-sink.js";
import { type TarMember, TarType } from "./tar-writer.js";

/** Times in a layer: one for all, in seconds since 1970, or each file's own. */
export type LayerTime = { readonly seconds: number } | "keep";

/** Raised by every change of what a recipe's tar or blob looks like: it makes other keys. */
const formatVersion = 1;

/** What directories get that are made on the way to the tree when times are kept: 1980-01-01T00:00:02Z. */
const madeSeconds = 315_532_802;

const fixedBytes = 36;
const digestBytes = 32;

/** Memory for one recipe after another. */
export class RecipeSpace {
  readonly recipe = new GrowingBytes();
  readonly sources = new GrowingBytes();
}

/** Bytes with room for more. */
class GrowingBytes {
  bytes: Buffer<ArrayBuffer> = Buffer.from(new ArrayBuffer(64 * 1024));
  /** Where the next byte goes. */
  at = 0;

  /** Makes room for `bytes` more. */
  reserve(bytes: number): void {
    if (this.at + bytes <= this.bytes.length) return;
    const larger = Buffer.from(new ArrayBuffer(Math.max(2 * this.bytes.length, this.at + bytes)));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
  }

  /** Adds a text and a byte of zeros. */
  addText(text: string): void {
    this.reserve(3 * text.length + 1);
    this.at += this.bytes.write(text, this.at, "utf8");
    this.bytes[this.at] = 0;
    this.at += 1;
  }

  /** What was added. */
  taken(): Uint8Array {
    return this.bytes.subarray(0, this.at);
  }
}

/** What a {@link RecipeWriter} has when it is done. */
export interface ShardRecipe {
  /**
   * sha256 in hex over all that the layer is made of; of the files' contents, over their sizes and digests.
   */
  readonly key: string;
  /** Those bytes, until another recipe is begun: it takes their place. */
  readonly bytes: () => Uint8Array;
  /**
   * Absolute paths of the files whose contents go in, in their order, each with a NUL behind it; until another recipe is
   * begun. As bytes, since texts would live for as long as it takes to pack them: garbage that is not soon collected.
   */
  readonly sources: () => Uint8Array;
  /** Bytes of those contents. */
  readonly contentBytes: number;
  /** Members that are no directories. */
  readonly files: number;
}

/** What a {@link RecipeWriter} is to write. */
export interface RecipeOptions {
  /** Put before paths: clean, without a slash at its ends, or empty. */
  readonly prefix: string;
  readonly time: LayerTime;
  readonly compression: LayerCompression;
  /** The absolute path of a file of the tree. Without it the recipe has no sources. */
  readonly locate: ((path: string) => string) | undefined;
}

/**
 * Writes down what goes into one layer, as bytes: the thread that packs it gets nothing else but the
 * contents, so that the digest of these bytes, the shard's key, is over everything that makes the layer.
 * Machine and paths on disk are no part.
 */
export class RecipeWriter {
  readonly #prefix: string;
  readonly #time: LayerTime;
  readonly #locate: ((path: string) => string) | undefined;
  readonly #recipe: GrowingBytes;
  readonly #sources: GrowingBytes;
  #contentBytes = 0;
  #files = 0;

  /** `space` is the memory that the recipe is written to: no other is under way there. */
  constructor({ prefix, time, compression, locate }: RecipeOptions, space: RecipeSpace) {
    this.#recipe = space.recipe;
    this.#sources = space.sources;
    this.#sources.at = 0;
    this.#prefix = prefix === "" ? "" : `${prefix}/`;
    this.#time = time;
    this.#locate = locate;
    const seconds = time === "keep" ? madeSeconds : time.seconds;
    this.#recipe.at = this.#recipe.bytes.write(`kiln-layer ${formatVersion} ${compression} ${seconds}\n`);
  }

  /** Adds a directory on the way to the tree, by its path in the image, with mode 0755. */
  addMade(path: string): void {
    this.#fixed(TarType.DIRECTORY, 0o755, 0, 0, 0, undefined);
    this.#text(path, "");
    this.#writeUInt16(0);
  }

  /**
   * Adds an entry. The file of a hard link must have been added before it.
   *
   * Throws `ERR_KILN_UNSUPPORTED` for what is neither file, directory, link, device nor pipe.
   */
  add(entry: ManifestEntry): void {
    const type = typeOf(entry);
    const isFile = type === TarType.FILE;
    const time = this.#time === "keep" ? entry.modTime : undefined;
    const mode = type === TarType.SYMLINK ? 0o777 : chmodBits(entry.mode);
    this.#fixed(type, mode, isFile ? entry.size : 0, entry.devmajor, entry.devminor, time);
    const name = this.#prefix + entry.path;
    this.#text(name, type === TarType.HARD_LINK ? this.#prefix + entry.linkname : entry.linkname);
    if (isFile) {
      if (this.#recipe.bytes.write(entry.sha256, this.#recipe.at, "hex") !== digestBytes) {
        throw new TypeError(`the manifest has no digest of ${entry.path}`);
      }
      this.#recipe.at += digestBytes;
      if (this.#locate !== undefined) this.#sources.addText(this.#locate(entry.path));
      this.#contentBytes += entry.size;
    }
    this.#xattrs(type === TarType.HARD_LINK ? undefined : entry.xattrs);
    if (type !== TarType.DIRECTORY) this.#files += 1;
  }

  /** The recipe; the writer cannot be used any more. */
  finish(): ShardRecipe {
    return {
      key: createHash("sha256").update(this.#recipe.taken()).digest("hex"),
      bytes: () => this.#recipe.taken(),
      sources: () => this.#sources.taken(),
      contentBytes: this.#contentBytes,
      files: this.#files,
    };
  }

  #fixed(
    type: number,
    mode: number,
    size: number,
    devmajor: number,
    devminor: number,
    time: bigint | undefined,
  ): void {
    this.#recipe.reserve(fixedBytes);
    const { bytes, at } = this.#recipe;
    bytes[at] = type;
    bytes[at + 1] = time === undefined ? 0 : 1;
    bytes.writeUInt16LE(mode, at + 2);
    bytes.writeDoubleLE(size, at + 4);
    bytes.writeUInt32LE(devmajor, at + 12);
    bytes.writeUInt32LE(devminor, at + 16);
    bytes.writeBigInt64LE(time ?? 0n, at + 20);
    // Lengths of the texts, in the eight bytes that are left, come with them.
    this.#recipe.at = at + 28;
  }

  #text(name: string, linkname: string): void {
    this.#recipe.reserve(8 + 3 * (name.length + linkname.length) + digestBytes + 2);
    const bytes = this.#recipe.bytes;
    const nameLength = bytes.write(name, this.#recipe.at + 8, "utf8");
    const linkLength = linkname === "" ? 0 : bytes.write(linkname, this.#recipe.at + 8 + nameLength, "utf8");
    bytes.writeUInt32LE(nameLength, this.#recipe.at);
    bytes.writeUInt32LE(linkLength, this.#recipe.at + 4);
    this.#recipe.at += 8 + nameLength + linkLength;
  }

  #xattrs(xattrs: ReadonlyMap<string, Uint8Array> | undefined): void {
    this.#writeUInt16(xattrs?.size ?? 0);
    if (xattrs === undefined || xattrs.size === 0) return;
    const sorted = [...xattrs].map(([name, value]) => ({ name: Buffer.from(name), value }));
    sorted.sort((a, b) => a.name.compare(b.name));
    for (const { name, value } of sorted) {
      this.#recipe.reserve(8 + name.length + value.length);
      this.#recipe.bytes.writeUInt32LE(name.length, this.#recipe.at);
      this.#recipe.bytes.writeUInt32LE(value.length, this.#recipe.at + 4);
      this.#recipe.bytes.set(name, this.#recipe.at + 8);
      this.#recipe.bytes.set(value, this.#recipe.at + 8 + name.length);
      this.#recipe.at += 8 + name.length + value.length;
    }
  }

  #writeUInt16(value: number): void {
    this.#recipe.reserve(2);
    this.#recipe.bytes.writeUInt16LE(value, this.#recipe.at);
    this.#recipe.at += 2;
  }
}

/** A member as a recipe has it. */
export interface RecipeMember extends TarMember {
  /** sha256 of a file's content, 32 bytes; else empty. */
  readonly sha256: Uint8Array;
}

/** Reads a {@link ShardRecipe}'s bytes. */
export class RecipeReader {
  readonly compression: LayerCompression;
  readonly #bytes: Buffer;
  readonly #seconds: number;
  #at: number;

  constructor(recipe: Uint8Array) {
    this.#bytes = Buffer.from(recipe.buffer, recipe.byteOffset, recipe.length);
    const end = this.#bytes.indexOf(0x0a);
    const [what, version, compression, seconds] = this.#bytes.toString("latin1", 0, end).split(" ");
    if (what !== "kiln-layer" || Number(version) !== formatVersion)
      throw new TypeError("no recipe of a layer");
    this.compression = compression === "gzip" ? "gzip" : "uncompressed";
    this.#seconds = Number(seconds);
    this.#at = end + 1;
  }

  /** The members, in their order. */
  *members(): Generator<RecipeMember, void, void> {
    while (this.#at < this.#bytes.length) yield this.#member();
  }

  #member(): RecipeMember {
    const bytes = this.#bytes;
    const at = this.#at;
    const type = bytes[at] ?? 0;
    const hasTime = bytes[at + 1] === 1;
    const time = hasTime ? bytes.readBigInt64LE(at + 20) : 0n;
    const nanoseconds = hasTime ? Number(((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n) : 0;
    const nameAt = at + fixedBytes;
    const linkAt = nameAt + bytes.readUInt32LE(at + 28);
    const digestAt = linkAt + bytes.readUInt32LE(at + 32);
    this.#at = digestAt + (type === TarType.FILE ? digestBytes : 0);
    return {
      type,
      mode: bytes.readUInt16LE(at + 2),
      size: bytes.readDoubleLE(at + 4),
      devmajor: bytes.readUInt32LE(at + 12),
      devminor: bytes.readUInt32LE(at + 16),
      seconds: hasTime ? Number((time - BigInt(nanoseconds)) / 1_000_000_000n) : this.#seconds,
      nanoseconds,
      name: bytes.subarray(nameAt, linkAt),
      linkname: bytes.subarray(linkAt, digestAt),
      sha256: bytes.subarray(digestAt, this.#at),
      xattrs: this.#xattrs(),
    };
  }

  #xattrs(): ReadonlyMap<string, Uint8Array> | undefined {
    const bytes = this.#bytes;
    const count = bytes.readUInt16LE(this.#at);
    this.#at += 2;
    if (count === 0) return undefined;
    const xattrs = new Map<string, Uint8Array>();
    for (let index = 0; index < count; index += 1) {
      const valueAt = this.#at + 8 + bytes.readUInt32LE(this.#at);
      const end = valueAt + bytes.readUInt32LE(this.#at + 4);
      xattrs.set(bytes.toString("utf8", this.#at + 8, valueAt), bytes.subarray(valueAt, end));
      this.#at = end;
    }
    return xattrs;
  }
}

/** Whether an entry is a further link to a file that comes before it. */
export function isHardLink(entry: ManifestEntry): boolean {
  return entry.linkname !== "" && !isSymlinkMode(entry.mode);
}

function typeOf(entry: ManifestEntry): number {
  const { mode } = entry;
  if (isDirectoryMode(mode)) return TarType.DIRECTORY;
  if (isSymlinkMode(mode)) return TarType.SYMLINK;
  if (isHardLink(entry)) return TarType.HARD_LINK;
  if (isRegularMode(mode)) return TarType.FILE;
  if ((mode & FileMode.CHARACTER_DEVICE) !== 0) return TarType.CHARACTER_DEVICE;
  if ((mode & FileMode.DEVICE) !== 0) return TarType.BLOCK_DEVICE;
  if ((mode & FileMode.NAMED_PIPE) !== 0) return TarType.FIFO;
  throw new KilnError("ERR_KILN_UNSUPPORTED", `${entry.path} is a file of a kind that no image can hold`, {
    hint: "Leave it out with an ignore pattern.",
  });
}

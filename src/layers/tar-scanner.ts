/** Why bytes are no whole tar. */
export class TarFault extends Error {
  readonly reason: "not-a-tar" | "damaged" | "cut-off" | "joined" | "left-over" | "empty" | "image-archive";

  constructor(reason: TarFault["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

const blockBytes = 512;
const zeros = Buffer.alloc(64 * 1024);

/** Go's `archive/tar`, which the daemon reads with, refuses larger extended headers too. */
const extendedLimit = 1024 * 1024;

/** Types of entries whose data, by Go's reading, is none whatever the size says: links, devices, directories, pipes. */
const withoutData: ReadonlySet<string> = new Set(["1", "2", "3", "4", "5", "6"]);

/** Files at the top of what `docker save` and OCI tools write, and what a root file system has. */
const imageFiles = { oci: ["oci-layout", "index.json"], docker: ["manifest.json", "repositories"] };

type State = "header" | "data" | "extended" | "sparse" | "one-zero" | "over";

/**
 * Follows a tar from header to header, without looking at the files in it: tells one that is damaged, cut off or something
 * else. Takes the formats that GNU tar, bsdtar, Go and Python write (v7, ustar, pax, GNU with its sparse files).
 *
 * `push` and `end` throw {@link TarFault}. Keeps a block at a time, and extended headers of up to 1 MiB.
 */
export class TarScanner {
  #state: State = "header";
  /** Bytes of the state's data that are still to come, padding included. */
  #left = 0;
  readonly #partial = Buffer.alloc(blockBytes);
  #partialBytes = 0;
  /** Where the next block begins. */
  #offset = 0;
  #extended: Buffer[] = [];
  #extendedBytes = 0;
  /** Size that an extended header gives to the next entry. */
  #nextSize: number | undefined;
  #entries = 0;
  readonly #topNames = new Set<string>();
  #hasSystem = false;

  /** Reads on. */
  push(chunk: Uint8Array): void {
    let at = 0;
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    while (at < bytes.length) {
      if (this.#state === "over") {
        this.#checkRest(bytes.subarray(at));
        return;
      }
      if (this.#state === "data" || this.#state === "extended") {
        const taken = Math.min(this.#left, bytes.length - at);
        if (this.#state === "extended") this.#keep(bytes.subarray(at, at + taken));
        this.#left -= taken;
        this.#offset += taken;
        at += taken;
        if (this.#left === 0) this.#endData();
        continue;
      }
      const taken = Math.min(blockBytes - this.#partialBytes, bytes.length - at);
      bytes.copy(this.#partial, this.#partialBytes, at, at + taken);
      this.#partialBytes += taken;
      at += taken;
      if (this.#partialBytes < blockBytes) return;
      this.#partialBytes = 0;
      this.#block(this.#partial);
      this.#offset += blockBytes;
    }
  }

  /** Says that there is no more. */
  end(): void {
    if (this.#state !== "over" && this.#state !== "one-zero") {
      if (this.#entries === 0 && this.#offset === 0) throw new TarFault("not-a-tar", "it has no header");
      throw new TarFault(
        "cut-off",
        `it ends after ${this.#offset + this.#partialBytes} bytes, without the end of a tar`,
      );
    }
    if (this.#partialBytes > 0) throw new TarFault("cut-off", "it ends within a block");
    if (this.#entries === 0) throw new TarFault("empty", "it has no files");
    const has = (names: readonly string[]): boolean => names.every((name) => this.#topNames.has(name));
    if (!this.#hasSystem && (has(imageFiles.oci) || has(imageFiles.docker))) {
      throw new TarFault("image-archive", "it holds an image's layers, not a root file system");
    }
  }

  #block(block: Buffer): void {
    if (this.#state === "sparse") {
      // A further map of a sparse file; its byte 504 says whether one more follows.
      if (block[504] === 0) this.#begin("data", this.#left);
      return;
    }
    const isZero = block.equals(zeros.subarray(0, blockBytes));
    if (this.#state === "one-zero") {
      if (!isZero) throw this.#damaged("a block of zeros is followed by something else");
      this.#state = "over";
      return;
    }
    if (isZero) {
      this.#state = "one-zero";
      return;
    }
    this.#header(block);
  }

  #header(block: Buffer): void {
    if (!isChecked(block)) {
      if (this.#offset === 0) throw new TarFault("not-a-tar", "its first block is no header of a tar");
      throw this.#damaged("there is no header where the next one should be");
    }
    const type = String.fromCharCode(block[156] ?? 0);
    const own = numberIn(block.subarray(124, 136));
    if (own === undefined) throw this.#damaged("a header has no size");
    if (type === "x" || type === "g") {
      if (own > extendedLimit) throw this.#damaged("an extended header is larger than 1 MiB");
      this.#extended = [];
      this.#extendedBytes = type === "x" ? own : 0;
      this.#begin("extended", own);
      return;
    }
    // A long name or link name for the next entry.
    if (type === "L" || type === "K") {
      this.#begin("data", own);
      return;
    }
    const size = withoutData.has(type) ? 0 : (this.#nextSize ?? own);
    this.#nextSize = undefined;
    this.#entries += 1;
    this.#note(block);
    if (type === "S" && block[482] !== 0) {
      this.#state = "sparse";
      this.#left = size;
      return;
    }
    this.#begin("data", size);
  }

  #begin(state: "data" | "extended", size: number): void {
    this.#left = Math.ceil(size / blockBytes) * blockBytes;
    this.#state = this.#left === 0 ? "header" : state;
  }

  #endData(): void {
    if (this.#state === "extended" && this.#extendedBytes > 0) {
      const text = Buffer.concat(this.#extended).subarray(0, this.#extendedBytes).toString("latin1");
      const size = sizeRecord(text);
      if (size !== undefined && !Number.isSafeInteger(size))
        throw this.#damaged("an extended header has no number as size");
      this.#nextSize = size;
      this.#extended = [];
    }
    this.#state = "header";
  }

  #keep(bytes: Buffer): void {
    // The chunk is the reader's again when this returns.
    if (this.#extendedBytes > 0) this.#extended.push(Buffer.from(bytes));
  }

  #checkRest(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += zeros.length) {
      const part = bytes.subarray(at, at + zeros.length);
      if (part.equals(zeros.subarray(0, part.length))) continue;
      throw new TarFault("joined", `something follows its end at byte ${this.#offset}`);
    }
    this.#offset += bytes.length;
  }

  #note(block: Buffer): void {
    const end = block.indexOf(0);
    const name = block.toString("latin1", 0, end < 0 || end > 100 ? 100 : end).replace(/^(?:\.?\/)+/, "");
    const slash = name.indexOf("/");
    if (slash < 0 && (imageFiles.oci.includes(name) || imageFiles.docker.includes(name)))
      this.#topNames.add(name);
    this.#hasSystem ||= ["bin", "etc", "usr", "lib", "sbin"].includes(
      slash < 0 ? name : name.slice(0, slash),
    );
  }

  #damaged(why: string): TarFault {
    return new TarFault("damaged", `${why} (byte ${this.#offset})`);
  }
}

/** Whether a header's checksum is right; some old programs summed signed bytes. */
function isChecked(block: Buffer): boolean {
  const expected = numberIn(block.subarray(148, 156));
  if (expected === undefined) return false;
  let unsigned = 0;
  let signed = 0;
  for (let at = 0; at < blockBytes; at += 1) {
    const byte = at >= 148 && at < 156 ? 0x20 : (block[at] ?? 0);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  return expected === unsigned || expected === signed;
}

/** A number in a header: octal, or binary where its first bit is set. `undefined` for none, or one beyond 2^53. */
function numberIn(field: Buffer): number | undefined {
  const first = field[0] ?? 0;
  if ((first & 0x80) !== 0) {
    if ((first & 0x40) !== 0) return undefined;
    let value = BigInt(first & 0x3f);
    for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
  }
  const [, digits] = /^[ \0]*([0-7]*)(?:[ \0]|$)/.exec(field.toString("latin1")) ?? [];
  if (digits === undefined) return undefined;
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

/** The size among an extended header's records, each of which is `LENGTH KEY=VALUE\n`; not a number if it is none. */
function sizeRecord(text: string): number | undefined {
  let size: number | undefined;
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(" ", at);
    const length = Number(text.slice(at, space));
    if (space < 0 || !Number.isSafeInteger(length) || length <= space - at) return size;
    const record = text.slice(space + 1, at + length - 1);
    if (record.startsWith("size="))
      size = /^\d+$/.test(record.slice(5)) ? Number(record.slice(5)) : Number.NaN;
    at += length;
  }
  return size;
}

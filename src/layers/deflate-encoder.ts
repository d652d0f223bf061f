import { HuffmanCode } from "./huffman-code.js";

/** How far back a match may lie. */
export const deflateWindow = 32 * 1024;

const minimum = 4;
const maximum = 258;
const hashBits = 15;
const blockSymbols = 32 * 1024;
const endOfBlock = 256;
/** Order in which the lengths of the third code are written (RFC 1951, 3.2.7). */
const codeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const { lengthSymbols, lengthBase, lengthExtra } = lengthTables();
const { distanceSymbols, distanceBase, distanceExtra } = distanceTables();

/**
 * Compresses to deflate (RFC 1951) with bytes that depend on nothing but the input: neither on the machine's
 * architecture nor on the version of Node or of the zlib that it was built with, which all may change what
 * `node:zlib` writes.
 *
 * Made for tars of many small files: one candidate a hash, no lazy matching, blocks of their own Huffman
 * codes; stored blocks where those would be larger. About what zlib's level 1 gives.
 */
export class DeflateEncoder {
  /** Where the last place of a hash is in the caller's buffer, and the four bytes there. */
  readonly #places = new Int32Array(1 << hashBits).fill(-1);
  readonly #values = new Int32Array(1 << hashBits);
  /** Of the block: a literal, or `length << 16 | distance`. */
  readonly #symbols = new Int32Array(blockSymbols);
  #count = 0;
  readonly #literalCounts = new Uint32Array(286);
  readonly #distanceCounts = new Uint32Array(30);
  readonly #lengthCounts = new Uint32Array(19);
  readonly #literals = new HuffmanCode(286, 15);
  readonly #distances = new HuffmanCode(30, 15);
  readonly #codeLengths = new HuffmanCode(19, 7);
  /** The lengths of both codes in a row, in runs: `symbol | extra << 8`. */
  readonly #runs = new Uint16Array(286 + 30);
  #out: Uint8Array = new Uint8Array(0);
  #at = 0;
  #bits = 0;
  #bitCount = 0;

  /** The most bytes that {@link encode} writes for so many. */
  static bound(bytes: number): number {
    return bytes + 5 * (Math.ceil(bytes / 4096) + 2) + 16;
  }

  /** Begins a new stream. */
  reset(): void {
    this.#places.fill(-1);
    this.#bits = 0;
    this.#bitCount = 0;
  }

  /** Says that what is in the caller's buffer has moved to the front by so many bytes. */
  moved(bytes: number): void {
    const places = this.#places;
    for (let hash = 0; hash < places.length; hash += 1) places[hash] = (places[hash] ?? 0) - bytes;
  }

  /**
   * Compresses `input` from `start` to `end`. What lies before `start` is as it was at the last call, and
   * moved only as {@link moved} was told. Writes to `out` from `at` and returns where it ended; `last` ends
   * the stream.
   */
  encode(input: Uint8Array, start: number, end: number, last: boolean, out: Uint8Array, at: number): number {
    this.#out = out;
    this.#at = at;
    let from = start;
    while (from < end) {
      const to = this.#match(input, from, end);
      this.#block(input, from, to, last && to === end);
      from = to;
    }
    if (last) {
      if (start === end) this.#block(input, end, end, true);
      this.#flush();
    }
    return this.#at;
  }

  /** Finds the symbols of one block; returns where it ends. */
  #match(input: Uint8Array, start: number, end: number): number {
    const places = this.#places;
    const values = this.#values;
    const symbols = this.#symbols;
    const literalCounts = this.#literalCounts;
    const distanceCounts = this.#distanceCounts;
    literalCounts.fill(0);
    distanceCounts.fill(0);
    let count = 0;
    let misses = 0;
    let at = start;
    const lastStart = end - minimum;
    // A step without a match takes up to 33 symbols.
    const full = blockSymbols - 40;
    let value = at <= lastStart ? load(input, at) : 0;
    while (at <= lastStart && count < full) {
      const hash = Math.imul(value, 0x9e3779b1) >>> (32 - hashBits);
      const place = places[hash] ?? 0;
      const known = values[hash] ?? 0;
      places[hash] = at;
      values[hash] = value;
      const distance = at - place;
      if (known === value && place >= 0 && distance <= deflateWindow) {
        misses = 0;
        let behind = 0;
        while (behind < count && behind < place && input[place - behind - 1] === input[at - behind - 1]) {
          const byte = symbols[count - behind - 1] ?? 0;
          // A match before this one.
          if (byte > 255) break;
          literalCounts[byte] = (literalCounts[byte] ?? 0) - 1;
          behind += 1;
        }
        count -= behind;
        at -= behind;
        let length = behind + minimum;
        while (at + length < end && input[at + length] === input[at + length - distance]) length += 1;
        const distanceSymbol =
          distanceSymbols[distance <= 256 ? distance : 256 + ((distance - 1) >>> 7)] ?? 0;
        // Of what is left, no piece may be shorter than a match can be; and the block ends where it is full.
        const whole = length;
        for (let left = whole; left > 0 && count < full; ) {
          const piece = left <= maximum ? left : left < maximum + minimum ? left - minimum : maximum;
          symbols[count++] = (piece << 16) | distance;
          const lengthSymbol = lengthSymbols[piece] ?? 0;
          literalCounts[lengthSymbol] = (literalCounts[lengthSymbol] ?? 0) + 1;
          distanceCounts[distanceSymbol] = (distanceCounts[distanceSymbol] ?? 0) + 1;
          left -= piece;
          length = whole - left;
        }
        at += length;
        if (at > lastStart) break;
        const near = load(input, at - 2);
        const nearHash = Math.imul(near, 0x9e3779b1) >>> (32 - hashBits);
        places[nearHash] = at - 2;
        values[nearHash] = near;
        value = load(input, at);
        continue;
      }
      const step = 1 + (misses >>> 6);
      if (misses < 2047) misses += 1;
      if (step === 1) {
        const byte = value & 0xff;
        symbols[count++] = byte;
        literalCounts[byte] = (literalCounts[byte] ?? 0) + 1;
        value = (value >>> 8) | ((input[at + 4] ?? 0) << 24);
        at += 1;
        continue;
      }
      const stop = at + step < lastStart ? at + step : lastStart + 1;
      for (; at < stop; at += 1) {
        const byte = input[at] ?? 0;
        symbols[count++] = byte;
        literalCounts[byte] = (literalCounts[byte] ?? 0) + 1;
      }
      if (at <= lastStart) value = load(input, at);
    }
    if (at > lastStart) {
      for (; at < end; at += 1) {
        const byte = input[at] ?? 0;
        symbols[count++] = byte;
        literalCounts[byte] = (literalCounts[byte] ?? 0) + 1;
      }
    }
    this.#count = count;
    return at;
  }

  #block(input: Uint8Array, start: number, end: number, last: boolean): void {
    if (start === end) {
      this.#literalCounts.fill(0);
      this.#distanceCounts.fill(0);
      this.#count = 0;
    }
    this.#literalCounts[endOfBlock] = 1;
    this.#literals.build(this.#literalCounts);
    this.#distances.build(this.#distanceCounts);
    const runs = this.#makeRuns();
    this.#codeLengths.build(this.#lengthCounts);
    const bytes = end - start;
    const storedBits = 8 * bytes + 40 * Math.ceil(bytes / 0xffff);
    if (bytes > 0 && this.#size() >= storedBits) this.#writeStored(input, start, end, last);
    else this.#writeCoded(runs, last);
  }

  /** Bits of the block's symbols with their codes. */
  #size(): number {
    let bits = 0;
    for (let symbol = 0; symbol < 286; symbol += 1) {
      const extra = symbol > endOfBlock ? (lengthExtra[symbol - 257] ?? 0) : 0;
      bits += (this.#literalCounts[symbol] ?? 0) * ((this.#literals.lengths[symbol] ?? 0) + extra);
    }
    for (let symbol = 0; symbol < 30; symbol += 1) {
      const length = (this.#distances.lengths[symbol] ?? 0) + (distanceExtra[symbol] ?? 0);
      bits += (this.#distanceCounts[symbol] ?? 0) * length;
    }
    return bits;
  }

  /**
   * Describes the lengths of both codes as runs, and counts what these are made of. Returns how many there
   * are.
   */
  #makeRuns(): number {
    const lengths = [...this.#literals.lengths, ...this.#distances.lengths];
    const counts = this.#lengthCounts.fill(0);
    let runs = 0;
    const add = (symbol: number, extra: number): void => {
      this.#runs[runs++] = symbol | (extra << 8);
      counts[symbol] = (counts[symbol] ?? 0) + 1;
    };
    for (let at = 0; at < lengths.length; ) {
      const length = lengths[at] ?? 0;
      let run = 1;
      while (at + run < lengths.length && lengths[at + run] === length) run += 1;
      at += run;
      if (length === 0) {
        for (; run >= 11; run -= Math.min(run, 138)) add(18, Math.min(run, 138) - 11);
        if (run >= 3) {
          add(17, run - 3);
          run = 0;
        }
      } else {
        add(length, 0);
        run -= 1;
        for (; run >= 3; run -= Math.min(run, 6)) add(16, Math.min(run, 6) - 3);
      }
      for (; run > 0; run -= 1) add(length, 0);
    }
    return runs;
  }

  #writeStored(input: Uint8Array, start: number, end: number, last: boolean): void {
    for (let at = start; at < end; ) {
      const bytes = Math.min(end - at, 0xffff);
      this.#put(last && at + bytes === end ? 1 : 0, 3);
      this.#flush();
      this.#put(bytes, 16);
      this.#put(bytes ^ 0xffff, 16);
      this.#flush();
      this.#out.set(input.subarray(at, at + bytes), this.#at);
      this.#at += bytes;
      at += bytes;
    }
  }

  #writeCoded(runs: number, last: boolean): void {
    this.#put(last ? 5 : 4, 3);
    this.#put(286 - 257, 5);
    this.#put(30 - 1, 5);
    let kinds = codeLengthOrder.length;
    while (kinds > 4 && this.#codeLengths.lengths[codeLengthOrder[kinds - 1] ?? 0] === 0) kinds -= 1;
    this.#put(kinds - 4, 4);
    for (const kind of codeLengthOrder.slice(0, kinds)) this.#put(this.#codeLengths.lengths[kind] ?? 0, 3);
    for (const run of this.#runs.subarray(0, runs)) {
      const symbol = run & 0xff;
      this.#put(this.#codeLengths.words[symbol] ?? 0, this.#codeLengths.lengths[symbol] ?? 0);
      if (symbol >= 16) this.#put(run >>> 8, symbol === 16 ? 2 : symbol === 17 ? 3 : 7);
    }
    this.#writeSymbols();
    this.#put(this.#literals.words[endOfBlock] ?? 0, this.#literals.lengths[endOfBlock] ?? 0);
  }

  #writeSymbols(): void {
    const { words: literalWords, lengths: literalLengths } = this.#literals;
    const { words: distanceWords, lengths: distanceLengths } = this.#distances;
    const symbols = this.#symbols;
    const out = this.#out;
    let at = this.#at;
    let bits = this.#bits;
    let bitCount = this.#bitCount;
    for (let next = 0; next < this.#count; next += 1) {
      const symbol = symbols[next] ?? 0;
      if (symbol < 256) {
        bits |= (literalWords[symbol] ?? 0) << bitCount;
        bitCount += literalLengths[symbol] ?? 0;
      } else {
        const length = symbol >>> 16;
        const lengthSymbol = lengthSymbols[length] ?? 0;
        bits |= (literalWords[lengthSymbol] ?? 0) << bitCount;
        bitCount += literalLengths[lengthSymbol] ?? 0;
        if (bitCount >= 16) {
          out[at++] = bits & 0xff;
          out[at++] = (bits >>> 8) & 0xff;
          bits >>>= 16;
          bitCount -= 16;
        }
        bits |= (length - (lengthBase[lengthSymbol - 257] ?? 0)) << bitCount;
        bitCount += lengthExtra[lengthSymbol - 257] ?? 0;
        if (bitCount >= 16) {
          out[at++] = bits & 0xff;
          out[at++] = (bits >>> 8) & 0xff;
          bits >>>= 16;
          bitCount -= 16;
        }
        const distance = symbol & 0xffff;
        const distanceSymbol =
          distanceSymbols[distance <= 256 ? distance : 256 + ((distance - 1) >>> 7)] ?? 0;
        bits |= (distanceWords[distanceSymbol] ?? 0) << bitCount;
        bitCount += distanceLengths[distanceSymbol] ?? 0;
        if (bitCount >= 16) {
          out[at++] = bits & 0xff;
          out[at++] = (bits >>> 8) & 0xff;
          bits >>>= 16;
          bitCount -= 16;
        }
        bits |= (distance - (distanceBase[distanceSymbol] ?? 0)) << bitCount;
        bitCount += distanceExtra[distanceSymbol] ?? 0;
      }
      if (bitCount >= 16) {
        out[at++] = bits & 0xff;
        out[at++] = (bits >>> 8) & 0xff;
        bits >>>= 16;
        bitCount -= 16;
      }
    }
    this.#at = at;
    this.#bits = bits;
    this.#bitCount = bitCount;
  }

  /** Writes up to 16 bits, the lowest first. */
  #put(value: number, count: number): void {
    this.#bits |= value << this.#bitCount;
    this.#bitCount += count;
    while (this.#bitCount >= 8) {
      this.#out[this.#at++] = this.#bits & 0xff;
      this.#bits >>>= 8;
      this.#bitCount -= 8;
    }
  }

  /** Fills the byte that is begun. */
  #flush(): void {
    if (this.#bitCount > 0) this.#put(0, 8 - (this.#bitCount & 7));
  }
}

function load(input: Uint8Array, at: number): number {
  return (
    (input[at] ?? 0) |
    ((input[at + 1] ?? 0) << 8) |
    ((input[at + 2] ?? 0) << 16) |
    ((input[at + 3] ?? 0) << 24)
  );
}

/** RFC 1951, 3.2.5: codes of lengths. */
function lengthTables(): { lengthSymbols: Uint16Array; lengthBase: Uint16Array; lengthExtra: Uint8Array } {
  const lengthSymbols = new Uint16Array(maximum + 1);
  const lengthBase = new Uint16Array(29);
  const lengthExtra = new Uint8Array(29);
  let length = 3;
  for (let symbol = 0; symbol < 28; symbol += 1) {
    const extra = symbol < 8 ? 0 : (symbol >>> 2) - 1;
    lengthBase[symbol] = length;
    lengthExtra[symbol] = extra;
    for (let count = 1 << extra; count > 0; count -= 1) lengthSymbols[length++] = 257 + symbol;
  }
  lengthBase[28] = maximum;
  lengthSymbols[maximum] = 285;
  return { lengthSymbols, lengthBase, lengthExtra };
}

/** RFC 1951, 3.2.5: codes of distances; those beyond 256 by their upper bits. */
function distanceTables(): {
  distanceSymbols: Uint8Array;
  distanceBase: Uint16Array;
  distanceExtra: Uint8Array;
} {
  const distanceSymbols = new Uint8Array(256 + 257);
  const distanceBase = new Uint16Array(30);
  const distanceExtra = new Uint8Array(30);
  let distance = 1;
  for (let symbol = 0; symbol < 30; symbol += 1) {
    const extra = symbol < 4 ? 0 : (symbol >>> 1) - 1;
    distanceBase[symbol] = distance;
    distanceExtra[symbol] = extra;
    for (let end = distance + (1 << extra); distance < end; distance += distance <= 256 ? 1 : 128) {
      distanceSymbols[distance <= 256 ? distance : 256 + ((distance - 1) >>> 7)] = symbol;
    }
  }
  return { distanceSymbols, distanceBase, distanceExtra };
}

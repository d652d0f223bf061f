import { hash } from "node:crypto";
import protobuf from "protobufjs/minimal.js";
import type { EncodedOp } from "./encoded-op.js";

const chunkSize = 64 * 1024;
const opTag = 10;

// Where the next op is written.
let chunk: Buffer = Buffer.alloc(0);
let used = 0;

/**
 * Writes an op as a field of a definition, behind the op that was written before.
 *
 * Ops lie in memory as they will be sent, many in one piece: a long graph has no array object for each of them, and
 * is put together by copying the pieces.
 */
class OpWriter extends protobuf.BufferWriter {
  static override alloc(size: number): Buffer {
    const head = headLength(size);
    if (head + size > chunk.length - used) {
      chunk = Buffer.allocUnsafeSlow(Math.max(head + size, chunkSize));
      used = 0;
    }
    const start = writeHead(chunk, used, opTag, size);
    used = start + size;
    return chunk.subarray(start, used);
  }
}

/** An encoded op among others in one piece of memory. */
export class StoredOp implements EncodedOp {
  readonly digest: string;
  readonly #chunk: Buffer;
  readonly #start: number;
  readonly #end: number;

  /** For {@link storeOp}. */
  constructor(digest: string, length: number) {
    this.digest = digest;
    this.#chunk = chunk;
    this.#start = used - length;
    this.#end = used;
  }

  /** The op's bytes, not copied. */
  get bytes(): Uint8Array {
    return this.#chunk.subarray(this.#start, this.#end);
  }

  /** Length of the op as a field of a definition. */
  get fieldLength(): number {
    return this.#end - this.#fieldStart;
  }

  /** Whether this op lies right behind another one. */
  follows(other: StoredOp): boolean {
    return this.#chunk === other.#chunk && this.#fieldStart === other.#end;
  }

  /** Copies the fields of all ops from this to `last`, each of which follows the one before it. */
  copyThrough(last: StoredOp, target: Buffer, position: number): number {
    return position + this.#chunk.copy(target, position, this.#fieldStart, last.#end);
  }

  get #fieldStart(): number {
    return this.#start - headLength(this.#end - this.#start);
  }
}

/** A writer whose bytes {@link storeOp} takes over. */
export function createOpWriter(): protobuf.Writer {
  return new OpWriter();
}

/** Finishes what a writer of {@link createOpWriter} has written, and names it by its digest. */
export function storeOp(writer: protobuf.Writer): StoredOp {
  const bytes = writer.finish();
  return new StoredOp(`sha256:${hash("sha256", bytes)}`, bytes.length);
}

/** Length of tag and length in front of a field's content. */
export function headLength(content: number): number {
  let length = 2;
  for (let rest = content; rest > 127; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

/** Writes the tag and length of a field; returns where its content begins. */
export function writeHead(target: Buffer, start: number, tag: number, length: number): number {
  let position = start;
  target[position++] = tag;
  let rest = length;
  for (; rest > 127; rest = Math.floor(rest / 128)) target[position++] = (rest % 128) | 128;
  target[position++] = rest;
  return position;
}

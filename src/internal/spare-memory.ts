/** The least that is allocated, in bytes; more is twice as much, and so on. */
const LEAST_BYTES = 64 * 1024;

/**
 * Memory that threads see without a copy, used again for one task after another: what is sent to a thread otherwise is
 * garbage there, which is not collected before there is much of it.
 */
export class SpareMemory {
  readonly #spare: SharedArrayBuffer[] = [];

  /** A copy of bytes that is the caller's until it gives it back. */
  copy(bytes: Uint8Array): Uint8Array<SharedArrayBuffer> {
    const copied = new Uint8Array(this.#take(bytes.length), 0, bytes.length);
    copied.set(bytes);
    return copied;
  }

  /** Takes back a copy that no thread reads any more. */
  give({ buffer }: Uint8Array<SharedArrayBuffer>): void {
    this.#spare.push(buffer);
  }

  #take(bytes: number): SharedArrayBuffer {
    const fitting = this.#spare.findIndex(({ byteLength }) => byteLength >= bytes);
    const [found] = fitting < 0 ? [] : this.#spare.splice(fitting, 1);
    if (found !== undefined) return found;
    // One that is too small will be so again.
    this.#spare.pop();
    let size = LEAST_BYTES;
    while (size < bytes) size *= 2;
    return new SharedArrayBuffer(size);
  }
}

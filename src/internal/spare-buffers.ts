/**
 * Buffers of one size that are used again and again. New ones for each piece of a file would stay in memory until the
 * garbage collector comes by, which tens of MB of them do not hurry.
 */
export class SpareBuffers {
  readonly #bytes: number;
  readonly #kept: number;
  readonly #spare: Buffer[] = [];

  /**
   * @param bytes - Length of each.
   * @param kept - How many are kept while nobody has them. More are made where they are needed at once.
   */
  constructor(bytes: number, kept: number) {
    this.#bytes = bytes;
    this.#kept = kept;
  }

  /** One with whatever was left in it. */
  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#bytes);
  }

  /** Takes one back that nobody reads or writes any more. One whose use may not be over is just dropped instead. */
  give(buffer: Buffer): void {
    if (this.#spare.length < this.#kept) this.#spare.push(buffer);
  }
}

import { leadingBits } from "./digest-order.js";

/**
 * A map by digest in the order in which the digests were added, which are never removed.
 *
 * A digest's own first bits place it: nothing is hashed, and a long graph's table is a few bytes an entry, a fraction
 * of what the runtime's map takes and copies as it grows.
 */
export class DigestMap<V> implements ReadonlyMap<string, V> {
  readonly #keys: string[] = [];
  readonly #values: V[] = [];
  // The place of an entry in the lists plus one; 0 = free. Its size is a power of two, at most half of it used.
  #table = new Int32Array(64);

  /** How many digests there are. */
  get size(): number {
    return this.#keys.length;
  }

  /** The value of a digest. */
  get(key: string): V | undefined {
    const place = this.#table[this.#slotOf(key)] as number;
    return place === 0 ? undefined : this.#values[place - 1];
  }

  /** Whether a digest was added. */
  has(key: string): boolean {
    return this.#table[this.#slotOf(key)] !== 0;
  }

  /** Adds a digest, or gives it another value. */
  set(key: string, value: V): this {
    const slot = this.#slotOf(key);
    const place = this.#table[slot] as number;
    if (place !== 0) {
      this.#values[place - 1] = value;
      return this;
    }
    this.#keys.push(key);
    this.#values.push(value);
    this.#table[slot] = this.#keys.length;
    if (this.#keys.length * 2 > this.#table.length) this.#grow();
    return this;
  }

  /** Calls a function with every value and its digest. */
  forEach(call: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (let index = 0; index < this.#keys.length; index += 1) {
      call(this.#values[index] as V, this.#keys[index] as string, this);
    }
  }

  /** The digests. */
  keys(): ArrayIterator<string> {
    return this.#keys.values();
  }

  /** The values. */
  values(): ArrayIterator<V> {
    return this.#values.values();
  }

  /** The digests with their values. */
  *entries(): Generator<[string, V], undefined> {
    for (let index = 0; index < this.#keys.length; index += 1) {
      yield [this.#keys[index] as string, this.#values[index] as V];
    }
  }

  /** The digests with their values. */
  [Symbol.iterator](): Generator<[string, V], undefined> {
    return this.entries();
  }

  /** Where a digest is in the table, or where it would be. */
  #slotOf(key: string): number {
    const mask = this.#table.length - 1;
    let slot = (leadingBits(key) ?? 0) & mask;
    for (;;) {
      const place = this.#table[slot] as number;
      if (place === 0 || this.#keys[place - 1] === key) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const table = new Int32Array(this.#table.length * 4);
    const mask = table.length - 1;
    for (let index = 0; index < this.#keys.length; index += 1) {
      let slot = (leadingBits(this.#keys[index] as string) ?? 0) & mask;
      while (table[slot] !== 0) slot = (slot + 1) & mask;
      table[slot] = index + 1;
    }
    this.#table = table;
  }
}

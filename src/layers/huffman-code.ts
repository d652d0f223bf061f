/**
 * A Huffman code whose words have a limited length, in the form that deflate uses (RFC 1951, 3.2.2). The same
 * counts give the same code on every machine: all that it is made of are small integers.
 */
export class HuffmanCode {
  /** Bits of each symbol's word; 0 for a symbol that does not occur. */
  readonly lengths: Uint8Array;
  /** Words with their first bit lowest, as they are written. */
  readonly words: Uint16Array;
  readonly #limit: number;
  /** Symbols that occur, by count: `count * 512 + symbol`. */
  readonly #order: Uint32Array;
  readonly #weights: Uint32Array;
  readonly #parents: Uint16Array;
  readonly #depths: Uint8Array;
  readonly #perLength = new Uint16Array(33);

  /** `symbols` of at most 512, and words of at most `limit` bits (15 or fewer). */
  constructor(symbols: number, limit: number) {
    this.lengths = new Uint8Array(symbols);
    this.words = new Uint16Array(symbols);
    this.#limit = limit;
    this.#order = new Uint32Array(symbols);
    this.#weights = new Uint32Array(2 * symbols);
    this.#parents = new Uint16Array(2 * symbols);
    this.#depths = new Uint8Array(2 * symbols);
  }

  /**
   * Makes the code for these counts (below 2^22 each). At least two symbols get words, as some readers want a
   * whole code; counts of symbols that were raised for that are 1 afterwards.
   */
  build(counts: Uint32Array): void {
    const used = this.#sort(counts);
    this.#measure(used);
    this.#shorten(used);
    this.#assign(used);
  }

  #sort(counts: Uint32Array): number {
    let used = 0;
    for (let symbol = 0; symbol < counts.length; symbol += 1) if (counts[symbol] !== 0) used += 1;
    for (let symbol = 0; used < 2; symbol += 1) {
      if (counts[symbol] !== 0) continue;
      counts[symbol] = 1;
      used += 1;
    }
    let at = 0;
    for (let symbol = 0; symbol < counts.length; symbol += 1) {
      const count = counts[symbol] ?? 0;
      if (count !== 0) this.#order[at++] = count * 512 + symbol;
    }
    this.#order.subarray(0, used).sort();
    return used;
  }

  /** Joins the two lightest nodes until one is left, then counts the leaves at each depth. */
  #measure(used: number): void {
    const weights = this.#weights;
    const parents = this.#parents;
    const depths = this.#depths;
    for (let leaf = 0; leaf < used; leaf += 1) weights[leaf] = (this.#order[leaf] ?? 0) >>> 9;
    let leaf = 0;
    let inner = used;
    const root = 2 * used - 2;
    for (let made = used; made <= root; made += 1) {
      let weight = 0;
      for (let child = 0; child < 2; child += 1) {
        const fromLeaves = leaf < used && (inner >= made || (weights[leaf] ?? 0) <= (weights[inner] ?? 0));
        const taken = fromLeaves ? leaf++ : inner++;
        weight += weights[taken] ?? 0;
        parents[taken] = made;
      }
      weights[made] = weight;
    }
    this.#perLength.fill(0);
    depths[root] = 0;
    for (let node = root - 1; node >= 0; node -= 1) {
      const depth = (depths[parents[node] ?? 0] ?? 0) + 1;
      depths[node] = depth;
      if (node < used) this.#perLength[Math.min(depth, 32)] = (this.#perLength[Math.min(depth, 32)] ?? 0) + 1;
    }
  }

  /** Brings words that are too long down to the limit, and lengthens others until the code fits. */
  #shorten(used: number): void {
    const perLength = this.#perLength;
    const limit = this.#limit;
    let room = 0;
    for (let length = limit + 1; length <= 32; length += 1) {
      perLength[limit] = (perLength[limit] ?? 0) + (perLength[length] ?? 0);
    }
    for (let length = 1; length <= limit; length += 1) room += (perLength[length] ?? 0) << (limit - length);
    if (used === 0) return;
    for (let excess = room - (1 << limit); excess > 0; excess -= 1) {
      perLength[limit] = (perLength[limit] ?? 0) - 1;
      let length = limit - 1;
      while (perLength[length] === 0) length -= 1;
      perLength[length] = (perLength[length] ?? 0) - 1;
      perLength[length + 1] = (perLength[length + 1] ?? 0) + 2;
    }
  }

  #assign(used: number): void {
    const { lengths, words } = this;
    lengths.fill(0);
    let next = used;
    for (let length = 1; length <= this.#limit; length += 1) {
      for (let left = this.#perLength[length] ?? 0; left > 0; left -= 1) {
        next -= 1;
        lengths[(this.#order[next] ?? 0) & 511] = length;
      }
    }
    const first = new Uint16Array(this.#limit + 2);
    for (let length = 1; length <= this.#limit; length += 1) {
      first[length + 1] = ((first[length] ?? 0) + (this.#perLength[length] ?? 0)) << 1;
    }
    for (let symbol = 0; symbol < lengths.length; symbol += 1) {
      const length = lengths[symbol] ?? 0;
      if (length === 0) continue;
      let word = first[length] ?? 0;
      first[length] = word + 1;
      let reversed = 0;
      for (let bit = 0; bit < length; bit += 1) {
        reversed = (reversed << 1) | (word & 1);
        word >>= 1;
      }
      words[symbol] = reversed;
    }
  }
}

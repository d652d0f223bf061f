/**
 * Finds any of many texts in another one in a single pass (Aho and Corasick, 1975).
 *
 * A node stands for the longest end of what was read that is a beginning of a pattern; node 0 for the empty one. Takes
 * memory in proportion to the patterns' length.
 */
export class PatternAutomaton {
  /** By node: the first child, the next child of the same parent, the character that leads here. */
  readonly #child: number[] = [0];
  readonly #sibling: number[] = [0];
  readonly #character: number[] = [0];
  readonly #depth: number[] = [0];
  /** By node: that of the longest proper end of it which is a node. */
  readonly #fallback: number[] = [0];
  /** By node: length of the longest pattern that it ends with; 0 = none. */
  readonly #match: number[] = [0];
  /** The root's children by character. */
  readonly #first = new Map<number, number>();
  /** By character: 1 if a pattern begins with it. Most of a text is passed over with that alone. */
  readonly #begins = new Uint8Array(0x10000);

  /** Patterns must not be empty. */
  constructor(patterns: Iterable<string>) {
    for (const pattern of patterns) this.#add(pattern);
    this.#link();
  }

  /** The first place from `index` on where a pattern may begin; the text's length if there is none. */
  beginning(text: string, index: number): number {
    let at = index;
    while (at < text.length && this.#begins[text.charCodeAt(at)] === 0) at += 1;
    return at;
  }

  /** The node after one more UTF-16 code unit. */
  next(node: number, character: number): number {
    for (let at = node; at !== 0; at = this.#fallback[at] ?? 0) {
      const child = this.#childOf(at, character);
      if (child !== 0) return child;
    }
    return this.#begins[character] === 0 ? 0 : (this.#first.get(character) ?? 0);
  }

  /** Length of the longest pattern that ends at a node; 0 = none does. */
  matchLength(node: number): number {
    return this.#match[node] ?? 0;
  }

  /** How many of the last code units are the beginning of a pattern that is not complete. */
  openLength(node: number): number {
    let at = node;
    while (at !== 0 && this.#child[at] === 0) at = this.#fallback[at] ?? 0;
    return this.#depth[at] ?? 0;
  }

  #childOf(node: number, character: number): number {
    let child = this.#child[node] ?? 0;
    while (child !== 0 && this.#character[child] !== character) child = this.#sibling[child] ?? 0;
    return child;
  }

  #add(pattern: string): void {
    let node = 0;
    for (let index = 0; index < pattern.length; index += 1) {
      const character = pattern.charCodeAt(index);
      const known = node === 0 ? (this.#first.get(character) ?? 0) : this.#childOf(node, character);
      node = known === 0 ? this.#grow(node, character) : known;
    }
    this.#match[node] = pattern.length;
  }

  #grow(parent: number, character: number): number {
    const node = this.#child.length;
    this.#child.push(0);
    this.#sibling.push(this.#child[parent] ?? 0);
    this.#character.push(character);
    this.#depth.push((this.#depth[parent] ?? 0) + 1);
    this.#fallback.push(0);
    this.#match.push(0);
    this.#child[parent] = node;
    if (parent === 0) {
      this.#first.set(character, node);
      this.#begins[character] = 1;
    }
    return node;
  }

  /** Breadth first: fallbacks of shorter nodes are there before those of longer ones need them. */
  #link(): void {
    const queue = [...this.#first.values()];
    for (const node of queue) {
      for (let child = this.#child[node] ?? 0; child !== 0; child = this.#sibling[child] ?? 0) {
        const fallback = this.next(this.#fallback[node] ?? 0, this.#character[child] ?? 0);
        this.#fallback[child] = fallback;
        this.#match[child] ||= this.#match[fallback] ?? 0;
        queue.push(child);
      }
    }
  }
}

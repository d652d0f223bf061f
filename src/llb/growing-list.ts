/** An immutable list that shares its beginning with the lists it grew from; adding costs constant time. */
export class GrowingList<T> {
  readonly #parent: GrowingList<T> | undefined;
  readonly #value: T;
  #items: readonly T[] | undefined;

  private constructor(parent: GrowingList<T> | undefined, value: T) {
    this.#parent = parent;
    this.#value = value;
  }

  /** `list` with one more item at its end; `undefined` is the empty list. */
  static append<T>(list: GrowingList<T> | undefined, value: T): GrowingList<T> {
    return new GrowingList(list, value);
  }

  /** All items in the order in which they were added. Computed once, without recursion. */
  items(): readonly T[] {
    if (this.#items !== undefined) return this.#items;
    const added: T[] = [];
    let known: readonly T[] = [];
    for (let node: GrowingList<T> | undefined = this; node !== undefined; node = node.#parent) {
      if (node.#items !== undefined) {
        known = node.#items;
        break;
      }
      added.push(node.#value);
    }
    this.#items = [...known, ...added.reverse()];
    return this.#items;
  }
}

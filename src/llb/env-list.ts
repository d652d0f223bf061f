// Beyond this many at once a map is faster than searching the list for each.
const fewAdditions = 8;
const keptEvery = 4;

/**
 * Environment variables of a state: an immutable list that grows at its end.
 *
 * Setting a variable again moves it to the end, the order in which Go's client sends them. Adding costs constant
 * time; the whole is computed once, starting at the nearest ancestor that was computed before, so that neither a
 * long chain of additions nor a long chain of commands costs more than it writes. Nothing recurses.
 */
export class EnvList {
  /** A list without variables. */
  static readonly empty: EnvList = new EnvList(undefined, "", undefined);

  readonly #parent: EnvList | undefined;
  readonly #key: string;
  readonly #value: string | undefined;
  readonly #line: string;
  // The additions that are in force, in their order: one array of references a list, whatever the values weigh.
  #members: readonly EnvList[] | undefined;

  private constructor(parent: EnvList | undefined, key: string, value: string | undefined) {
    this.#parent = parent;
    this.#key = key;
    this.#value = value;
    this.#line = value === undefined ? "" : `${key}=${value}`;
    if (parent === undefined) this.#members = [];
  }

  /** This list with one variable set, at the end. */
  set(key: string, value: string): EnvList {
    return new EnvList(this, key, value);
  }

  /** This list without one variable. */
  delete(key: string): EnvList {
    return new EnvList(this, key, undefined);
  }

  /** The value of a variable. */
  get(key: string): string | undefined {
    const member = this.#all().find((one) => one.#key === key);
    return member === undefined ? undefined : member.#value;
  }

  /** All variables as key and value in sending order. */
  entries(): readonly (readonly [key: string, value: string])[] {
    return this.#all().map((member) => [member.#key, member.#value ?? ""]);
  }

  /** All variables as `KEY=value` in sending order. */
  lines(): readonly string[] {
    return this.#all().map((member) => member.#line);
  }

  #all(): readonly EnvList[] {
    if (this.#members !== undefined) return this.#members;
    const added: EnvList[] = [];
    let known: readonly EnvList[] = [];
    for (let node: EnvList | undefined = this; node !== undefined; node = node.#parent) {
      if (node.#members !== undefined) {
        known = node.#members;
        break;
      }
      added.push(node);
    }
    const members =
      added.length <= fewAdditions ? this.#extendByFew(known, added) : this.#extend(known, added);
    // Kept only now and then: what lies between is quickly made again, and long chains stay small.
    if (added.length >= keptEvery) this.#members = members;
    return members;
  }

  #extendByFew(known: readonly EnvList[], added: readonly EnvList[]): readonly EnvList[] {
    const members = known.slice();
    for (let index = added.length - 1; index >= 0; index -= 1) {
      const node = added[index] as EnvList;
      const before = members.findIndex((member) => member.#key === node.#key);
      if (before >= 0) members.splice(before, 1);
      if (node.#value !== undefined) members.push(node);
    }
    return members;
  }

  #extend(known: readonly EnvList[], added: readonly EnvList[]): readonly EnvList[] {
    const members = new Map(known.map((member) => [member.#key, member]));
    for (const node of [...added].reverse()) {
      members.delete(node.#key);
      if (node.#value !== undefined) members.set(node.#key, node);
    }
    return [...members.values()];
  }
}

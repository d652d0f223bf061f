import type { PairText } from "./op-fields.js";

// Every so many additions the whole list is kept for good: what lies between is quickly made again from it.
const keptEvery = 64;
// Longer ones are not: they are handed on only, and made anew where a chain branches.
const keptLength = 256;
// Beyond this many at once a map is faster than searching the list for each.
const fewAdditions = 8;

/**
 * Environment variables of a state: an immutable list that grows at its end.
 *
 * Setting a variable again moves it to the end, the order in which Go's client sends them. Adding costs constant
 * time. The whole is computed from the nearest ancestor that has it and handed on from list to list along a chain, so
 * that neither a long chain of additions nor a long chain of commands costs or keeps more than it writes. Nothing
 * recurses.
 */
export class EnvList implements PairText {
  /** A list without variables. */
  static readonly empty: EnvList = new EnvList(undefined, "", "");

  /** The variable that this list adds to the one before it. */
  readonly key: string;
  /** The variable's value. */
  readonly value: string;
  readonly #parent: EnvList | undefined;
  /** How many lists since the last one that keeps its members for good. */
  readonly #age: number;
  // The additions that are in force, in their order: one array of references a list, whatever the values weigh.
  #members: EnvList[] | undefined;

  private constructor(parent: EnvList | undefined, key: string, value: string) {
    this.#parent = parent;
    this.key = key;
    this.value = value;
    this.#age = parent === undefined ? 0 : (parent.#age + 1) % keptEvery;
    this.#members = parent === undefined ? [] : undefined;
  }

  /** This list with one variable set, at the end. */
  set(key: string, value: string): EnvList {
    return new EnvList(this, key, value);
  }

  /** This list without one variable. */
  delete(key: string): EnvList {
    const list = new EnvList(undefined, "", "");
    list.#members = this.#all().filter((member) => member.key !== key);
    return list;
  }

  /** The value of a variable. */
  get(key: string): string | undefined {
    return this.#all().find((member) => member.key === key)?.value;
  }

  /** All variables as key and value in sending order. */
  entries(): readonly (readonly [key: string, value: string])[] {
    return this.#all().map(({ key, value }) => [key, value]);
  }

  /** All variables in sending order. Valid until the next use of a list: copy it to keep it. */
  members(): readonly PairText[] {
    return this.#all();
  }

  #all(): readonly EnvList[] {
    if (this.#members !== undefined) return this.#members;
    const added: EnvList[] = [];
    let start: EnvList = this;
    while (start.#members === undefined && start.#parent !== undefined) {
      added.push(start);
      start = start.#parent;
    }
    // The nearest list that may keep its members gets them too: other chains may branch off behind it.
    const keeper = added.findIndex((list) => list.#age === 0);
    if (keeper > 0) {
      start = (added[keeper] as EnvList).#extend(start, added.splice(keeper));
    }
    return this.#extend(start, added).#members ?? [];
  }

  #extend(start: EnvList, added: readonly EnvList[]): this {
    const known = start.#hand();
    this.#members = added.length > fewAdditions ? extendByMany(known, added) : extendByFew(known, added);
    return this;
  }

  /** The members for another list to change: a copy, or what is kept here no longer. */
  #hand(): EnvList[] {
    const members = this.#members ?? [];
    const keeps = this.#parent === undefined || (this.#age === 0 && members.length <= keptLength);
    if (keeps) return members.slice();
    this.#members = undefined;
    return members;
  }
}

/** Adds variables, the latest first in `added`, to the list itself. */
function extendByFew(members: EnvList[], added: readonly EnvList[]): EnvList[] {
  for (let index = added.length - 1; index >= 0; index -= 1) {
    const node = added[index] as EnvList;
    const before = members.findIndex((member) => member.key === node.key);
    if (before >= 0) members.splice(before, 1);
    members.push(node);
  }
  return members;
}

function extendByMany(known: readonly EnvList[], added: readonly EnvList[]): EnvList[] {
  const members = new Map(known.map((member) => [member.key, member]));
  for (const node of added.toReversed()) {
    members.delete(node.key);
    members.set(node.key, node);
  }
  return [...members.values()];
}

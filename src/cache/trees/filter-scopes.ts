import type { FilterScope, TreeFilter } from "../../fsutil/tree-filter.js";

const KEPT = 256;

/** Finds out how a filter judged directories, in any order. */
export class FilterScopes {
  readonly #filter: TreeFilter | undefined;
  readonly #known = new Map<string, FilterScope>();

  constructor(filter: TreeFilter | undefined) {
    this.#filter = filter;
  }

  /** The scope of a directory, by its path; `undefined` for the root. */
  of(directory: string): FilterScope | undefined {
    if (this.#filter === undefined || directory === "") return undefined;
    const known = this.#known.get(directory);
    if (known !== undefined) return known;
    const scope = this.#filter.newScope();
    const parent = directory.slice(0, Math.max(directory.lastIndexOf("/"), 0));
    this.#filter.judge(directory, true, this.of(parent), scope);
    // Only those asked for last are likely to be needed again.
    if (this.#known.size > KEPT) this.#known.clear();
    this.#known.set(directory, scope);
    return scope;
  }
}

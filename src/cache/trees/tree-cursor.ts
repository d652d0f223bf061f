import { isDirectory } from "./posix-mode.js";
import { EntryFlag, type StoredTree } from "./stored-tree.js";

interface Frame {
  readonly prefix: string;
  readonly names: readonly string[];
  readonly first: number;
  next: number;
}

/** Goes through the listed entries of a stored tree in the protocol's order, without an object for each. */
export class TreeCursor {
  /** The entry that {@link next} came to. */
  entry = -1;
  /** Its path. */
  path = "";
  readonly #tree: StoredTree;
  readonly #stack: Frame[];

  constructor(tree: StoredTree) {
    this.#tree = tree;
    this.#stack = [{ prefix: "", names: tree.namesIn(0), first: tree.start[0] ?? 0, next: 0 }];
  }

  /** Goes to the next entry; `false` when there is none. */
  next(): boolean {
    const tree = this.#tree;
    for (let frame = this.#stack.at(-1); frame !== undefined; frame = this.#stack.at(-1)) {
      const name = frame.names[frame.next];
      if (name === undefined) {
        this.#stack.pop();
        continue;
      }
      const entry = frame.first + frame.next;
      frame.next += 1;
      if (((tree.flags[entry] ?? 0) & EntryFlag.LISTED) === 0) continue;
      this.entry = entry;
      this.path = frame.prefix + name;
      if (isDirectory(tree.mode[entry] ?? 0)) {
        const directory = tree.link[entry] ?? 0;
        const first = tree.start[directory] ?? 0;
        this.#stack.push({ prefix: `${this.path}/`, names: tree.namesIn(directory), first, next: 0 });
      }
      return true;
    }
    return false;
  }

  /** Leaves out what is inside the directory that {@link next} came to. */
  skipInside(): void {
    if (isDirectory(this.#tree.mode[this.entry] ?? 0)) this.#stack.pop();
  }
}

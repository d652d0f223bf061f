import { comparePaths } from "./byte-order.js";
import { isDirectoryMode } from "./file-mode.js";
import type { FileStat } from "./file-stat.js";
import { openFilesSource } from "./files-source.js";
import { createTree, type Tree, type TreeViewOptions } from "./source-tree.js";
import type { TreeFilterOptions } from "./tree-filter.js";

/** Entries handed out at once, at most. */
const BATCH = 1024;

/**
 * A tree with further files, by their paths in it. They take the place of what the tree has there, and no filter of the
 * tree leaves them out; those of {@link Tree.narrow} do.
 *
 * Throws `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE` for what is no regular file, and
 * `ERR_KILN_INVALID_ARGUMENT` for a path that is none.
 */
export function overlayTree(
  tree: Tree,
  files: ReadonlyMap<string, string>,
  view: TreeViewOptions = {},
): Tree {
  const upper = createTree(openFilesSource(tree.root, files), view, {});
  // Left out below as well: a hard link to one of them must not show the file above.
  const lower = tree.narrow({ exclude: [...files.keys()].map(escapePattern) });
  return new OverlayTree(lower, upper, new Set(files.keys()));
}

/** A pattern that matches one path. A pattern's own white space at its ends would be dropped. */
function escapePattern(path: string): string {
  return path.replaceAll(/[\\*?[\]^|{}]|^!/g, "\\$&").replaceAll(/^\s|\s$/g, "?");
}

class OverlayTree implements Tree {
  readonly #lower: Tree;
  readonly #upper: Tree;
  readonly #files: ReadonlySet<string>;

  constructor(lower: Tree, upper: Tree, files: ReadonlySet<string>) {
    this.#lower = lower;
    this.#upper = upper;
    this.#files = files;
  }

  get root(): string {
    return this.#lower.root;
  }

  narrow(filter: TreeFilterOptions): Tree {
    return new OverlayTree(this.#lower.narrow(filter), this.#upper.narrow(filter), this.#files);
  }

  async *walk(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<readonly FileStat[], void, void> {
    const above: FileStat[] = [];
    for await (const batch of this.#upper.walk(options)) above.push(...batch);
    let next = 0;
    let batch: FileStat[] = [];
    for await (const below of this.#lower.walk(options)) {
      for (const stat of below) {
        for (let upper = above[next]; upper !== undefined; upper = above[next]) {
          const order = comparePaths(upper.path, stat.path);
          if (order > 0) break;
          // Two directories are one: the tree's own.
          if (order < 0 || !isDirectoryMode(stat.mode)) batch.push(upper);
          next += 1;
          if (order === 0) break;
        }
        const last = batch.at(-1);
        if (last?.path !== stat.path) batch.push(stat);
      }
      if (batch.length >= BATCH) {
        yield batch;
        batch = [];
      }
    }
    batch.push(...above.slice(next));
    if (batch.length > 0) yield batch;
  }

  read(path: string, options: Parameters<Tree["read"]>[1]): ReturnType<Tree["read"]> {
    return (this.#files.has(path) ? this.#upper : this.#lower).read(path, options);
  }
}

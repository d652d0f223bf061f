import { openDirectorySource } from "./directory-source.js";
import { openSingleFileSource } from "./single-file-source.js";
import { createTree, type Tree, type TreeViewOptions } from "./source-tree.js";
import type { TreeFilterOptions } from "./tree-filter.js";

export type { Tree, TreeViewOptions } from "./source-tree.js";

/** What {@link openTree} takes. */
export interface OpenTreeOptions extends TreeFilterOptions, TreeViewOptions {
  /** The directory, which may be a symlink to one. Its own entry is not part of the tree. */
  readonly root: string;
}

/** What {@link singleFileTree} takes. */
export interface SingleFileTreeOptions extends TreeViewOptions {
  /** The file, or a symlink to one. */
  readonly path: string;
  /** Its name in the tree: one path component. Default: the last component of `path`. */
  readonly name?: string | undefined;
}

/**
 * Opens a directory as a tree. Looks at the root, compiles the patterns and follows paths at once; the rest
 * of the disk is read by each walk.
 *
 * Throws `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE` or `ERR_KILN_INVALID_PATTERN`.
 */
export function openTree(options: OpenTreeOptions): Tree {
  return createTree(openDirectorySource(options.root), options, options);
}

/**
 * A tree that holds nothing but one regular file, whatever lies beside it. A symlink is followed when the
 * tree is made; the file's own stat is taken at each walk.
 *
 * Throws `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE` when it is no regular file, or
 * `ERR_KILN_INVALID_ARGUMENT` for a name that is none.
 */
export function singleFileTree(options: SingleFileTreeOptions): Tree {
  return createTree(openSingleFileSource(options.path, options.name), options, {});
}

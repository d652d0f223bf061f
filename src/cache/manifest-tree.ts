import type { Tree } from "../fsutil/tree.js";
import type { TreeManifest } from "./tree-manifest.js";

export function manifestTree(
  _manifest: TreeManifest,
  tree: Tree,
  _options: { readonly times?: "keep" | undefined },
): Tree {
  return tree;
}

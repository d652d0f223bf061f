import type { FileStat } from "../../../src/fsutil/file-stat.js";
import type { Tree } from "../../../src/fsutil/tree.js";

/** All entries of a tree. */
export async function listing(tree: Tree): Promise<readonly FileStat[]> {
  const found: FileStat[] = [];
  for await (const batch of tree.walk()) found.push(...batch);
  return found;
}

/** All paths of a tree; directories end in a slash. */
export async function paths(tree: Tree): Promise<readonly string[]> {
  return (await listing(tree)).map((stat) => (stat.mode >= 0x80000000 ? `${stat.path}/` : stat.path));
}

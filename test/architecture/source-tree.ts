import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Absolute path of the repository. */
export const REPOSITORY: string = fileURLToPath(new URL("../../", import.meta.url));

/** Files by path, relative to the repository and with forward slashes. */
export type SourceTree = ReadonlyMap<string, string>;

/** Reads every TypeScript file under `src`. */
export function readSourceTree(): SourceTree {
  const tree = new Map<string, string>();
  for (const entry of readdirSync(`${REPOSITORY}src`, { recursive: true, encoding: "utf8" }).sort()) {
    const path = `src/${entry.replaceAll("\\", "/")}`;
    if (/\.[cm]?tsx?$/.test(path)) tree.set(path, readFileSync(`${REPOSITORY}${path}`, "utf8"));
  }
  return tree;
}

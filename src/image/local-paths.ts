import type { Needs } from "../model/needs.js";

/** Paths on this machine that a chain names and Windows writes otherwise, longer ones first. */
export function windowsPaths(needs: Needs): readonly string[] {
  const paths = [
    ...needs.trees.map(({ path }) => path),
    ...needs.files.map(({ path }) => path),
    ...needs.listings.map(({ path }) => path),
    ...needs.caBundles.map(({ path }) => path),
    ...needs.bases.flatMap((base) => ("path" in base ? [base.path] : [])),
    ...needs.secrets.flatMap(({ origin }) => (origin.kind === "dotenv" ? [origin.path] : [])),
  ];
  return [...new Set(paths.filter((path) => path.includes("\\")))].sort((a, b) => b.length - a.length);
}

/** A text with these paths written with forward slashes. */
export function withForwardSlashes(text: string, paths: readonly string[]): string {
  return paths.reduce((result, path) => result.replaceAll(path, path.replaceAll("\\", "/")), text);
}

import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { KilnError } from "../../errors.js";
import { isDirectoryMode } from "../../fsutil/file-mode.js";
import { openTree } from "../../fsutil/tree.js";
import type { FoundFiles } from "../../image/needs-of.js";
import type { FileNeed, ListingNeed, Needs } from "../../model/needs.js";
import { localError } from "./local-error.js";

/** Files above this are none that a compiler reads. */
const fileLimit = 16 * 1024 * 1024;

/** Files may name files that name files: not more often than this. */
const roundLimit = 100;

/**
 * Reads the small files and listings of a chain, and those that they name in turn.
 *
 * `needsOf` is asked again with what was found until it asks for nothing new. Rejects with `ERR_KILN_FILE_NOT_FOUND` or
 * `ERR_KILN_FILE_UNREADABLE`, naming the step and the place of its call, and with `ERR_KILN_LIMIT_EXCEEDED` for files
 * that name one another without end.
 */
export async function gatherFiles(
  needsOf: (found: FoundFiles) => Needs,
  cwd: string,
): Promise<{ readonly found: FoundFiles; readonly needs: Needs }> {
  const files = new Map<string, Uint8Array>();
  const listings = new Map<string, readonly string[]>();
  const asked = new Set<string>();
  for (let round = 0; round < roundLimit; round += 1) {
    const needs = needsOf({ files, listings });
    const before = asked.size;
    for (const need of needs.files) {
      if (asked.has(need.id)) continue;
      asked.add(need.id);
      const content = await readSmallFile(need, cwd);
      if (content !== undefined) files.set(need.id, content);
    }
    for (const need of needs.listings) {
      if (asked.has(need.id)) continue;
      asked.add(need.id);
      listings.set(need.id, await list(need, cwd));
    }
    if (asked.size === before) return { found: { files, listings }, needs };
  }
  throw new KilnError(
    "ERR_KILN_LIMIT_EXCEEDED",
    `local files name one another more than ${roundLimit} deep`,
    {
      hint: "Look for a requirements file that includes itself under changing names.",
    },
  );
}

async function readSmallFile(need: FileNeed, cwd: string): Promise<Uint8Array | undefined> {
  const path = resolve(cwd, need.path);
  try {
    const { size } = await stat(path);
    if (size > fileLimit) throw new Error(`it has ${size} bytes`);
    return await readFile(path);
  } catch (error) {
    const missing = ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
    if (missing && need.optional) return undefined;
    throw localError(`${need.title}: cannot read ${path}`, path, error, need.location);
  }
}

async function list(need: ListingNeed, cwd: string): Promise<readonly string[]> {
  const root = resolve(cwd, need.path);
  const there = await stat(root).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!there) return [];
  const tree = openTree({ root, include: need.patterns, xattrs: "off" });
  const found: string[] = [];
  for await (const batch of tree.walk()) {
    for (const { path, mode } of batch) if (!isDirectoryMode(mode)) found.push(path);
  }
  return found.sort();
}

import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type CallSite, KilnError } from "../errors.js";
import { parseIgnoreFile } from "../fsutil/ignore-file.js";
import { openTree, singleFileTree, type Tree } from "../fsutil/tree.js";
import type { TreeFact } from "../model/facts.js";
import type { FileNeed, LayoutBaseNeed, Needs, TreeNeed } from "../model/needs.js";
import { type OciLayout, openOciLayout } from "../oci/layout.js";

/** Everything of the user's own files that a build reads, found and checked before any daemon is asked. */
export interface LocalInputs {
  /** Contents of small files, by need id. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Trees by need id: their `local://` name and key. */
  readonly treeFacts: ReadonlyMap<string, TreeFact>;
  /** Trees by `local://` name, for the session. */
  readonly trees: ReadonlyMap<string, Tree>;
  /** Layout bases by need id. */
  readonly layouts: ReadonlyMap<string, { readonly store: string; readonly layout: OciLayout }>;
}

/** Ignore files above this are no ignore files. */
const fileLimit = 16 * 1024 * 1024;

/**
 * Finds the local files, trees and layouts of a chain.
 *
 * Rejects with `ERR_KILN_FILE_NOT_FOUND` or `ERR_KILN_FILE_UNREADABLE` naming the step and the place of its
 * call, and `ERR_KILN_LAYOUT_INVALID`. Nothing is sent anywhere.
 */
export async function gatherInputs(needs: Needs, cwd: string): Promise<LocalInputs> {
  const files = new Map<string, Uint8Array>();
  for (const need of needs.files) files.set(need.id, await readSmallFile(need, cwd));
  const treeFacts = new Map<string, TreeFact>();
  const trees = new Map<string, Tree>();
  for (const need of needs.trees) {
    const root = await findTree(need, cwd);
    const exclude = [...ignoreLines(need, files), ...need.ignore];
    const sharedKeyHint = treeKey(root, need, exclude);
    const name = `kiln-${sharedKeyHint}`;
    treeFacts.set(need.id, { name, sharedKeyHint });
    trees.set(
      name,
      need.kind === "file"
        ? singleFileTree({
            path: root,
            name: "file",
            permissions: need.mode === "normalize" ? "normalize" : "keep",
          })
        : openTree({ root, exclude, permissions: need.mode === "normalize" ? "normalize" : "keep" }),
    );
  }
  const layouts = new Map<string, { readonly store: string; readonly layout: OciLayout }>();
  for (const need of needs.bases) {
    if (need.kind !== "oci-layout") continue;
    const layout = await openBaseLayout(need, cwd);
    layouts.set(need.id, { store: `kiln-${shortHash(layout.dir)}`, layout });
  }
  return { files, treeFacts, trees, layouts };
}

function openBaseLayout(need: LayoutBaseNeed, cwd: string): Promise<OciLayout> {
  return openOciLayout(resolve(cwd, need.path), { location: need.location });
}

async function readSmallFile(need: FileNeed, cwd: string): Promise<Uint8Array> {
  const path = resolve(cwd, need.path);
  try {
    const { size } = await stat(path);
    if (size > fileLimit) throw new Error(`it has ${size} bytes`);
    return await readFile(path);
  } catch (error) {
    throw localError(`${need.title}: cannot read ${path}`, path, error, need.location);
  }
}

async function findTree(need: TreeNeed, cwd: string): Promise<string> {
  const path = resolve(cwd, need.path);
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(path)).isDirectory();
  } catch (error) {
    throw localError(
      `${need.title}: no such ${need.kind === "dir" ? "directory" : "file"}: ${path}`,
      path,
      error,
      need.location,
    );
  }
  if (isDirectory === (need.kind === "dir")) return path;
  throw new KilnError(
    "ERR_KILN_FILE_NOT_FOUND",
    `${need.title}: ${path} is ${isDirectory ? "a directory" : "not a directory"}`,
    {
      hint: `Use ${isDirectory ? "addLocalDir" : "addLocalFile"} for it.`,
      location: need.location,
    },
  );
}

function localError(
  message: string,
  path: string,
  cause: unknown,
  location: CallSite | undefined,
): KilnError {
  const missing = ["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "");
  return new KilnError(missing ? "ERR_KILN_FILE_NOT_FOUND" : "ERR_KILN_FILE_UNREADABLE", message, {
    cause,
    hint: missing
      ? `Paths are relative to the build's working directory; looked for ${path}.`
      : `${(cause as Error).message}. Check its permissions.`,
    location,
  });
}

function ignoreLines(need: TreeNeed, files: ReadonlyMap<string, Uint8Array>): readonly string[] {
  const bytes = need.ignoreFile === undefined ? undefined : files.get(need.ignoreFile);
  return bytes === undefined ? [] : parseIgnoreFile(new TextDecoder().decode(bytes));
}

// Unique to the path and to what of it is sent: two trees must never share the daemon's copy of one.
function treeKey(root: string, need: TreeNeed, exclude: readonly string[]): string {
  return shortHash(JSON.stringify([need.kind, root, need.mode, exclude]));
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 24);
}

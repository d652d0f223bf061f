import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { ScanSource } from "../../cache/trees/scan-scope.js";
import { KilnError } from "../../errors.js";
import { parseIgnoreFile } from "../../fsutil/ignore-file.js";
import { overlayTree } from "../../fsutil/overlay-tree.js";
import { openTree, singleFileTree, type Tree } from "../../fsutil/tree.js";
import { rootfsLayout } from "../../layers/rootfs-layout.js";
import type { TreeFact } from "../../model/facts.js";
import type { BaseNeed, Needs, TreeNeed } from "../../model/needs.js";
import { annotationKeys, type Descriptor } from "../../oci/descriptor.js";
import { type OciLayout, openOciLayout } from "../../oci/layout.js";
import type { Platform } from "../../oci/platform.js";
import { layoutMirrors, type Mirrors, mirrored } from "../registries/mirrors.js";
import type { MirrorLayout } from "./dockerfile-sources.js";
import { localError } from "./local-error.js";

/** Everything of the user's own files that a build reads, found and checked before any daemon is asked. */
export interface LocalInputs {
  /** Trees by need id: their `local://` name and key. */
  readonly treeFacts: ReadonlyMap<string, TreeFact>;
  /** Trees by `local://` name, for the session. */
  readonly trees: ReadonlyMap<string, Tree>;
  /** The same trees by name, for scans. */
  readonly sources: ReadonlyMap<string, LocalSource>;
  /** Bases that are in layouts on this machine, by need id. */
  readonly layouts: ReadonlyMap<string, LocalBase>;
  /** Mirrors that are layouts, for the images that Dockerfiles name. */
  readonly mirrorLayouts: readonly MirrorLayout[];
}

/** Where a tree lies, and what of it counts. */
export interface LocalSource {
  readonly scan: ScanSource;
  /** Where a path of the tree is on disk. */
  readonly locate: (path: string) => string;
}

/** A base in a layout on this machine. */
export interface LocalBase {
  /** Under which the session serves the layout. */
  readonly store: string;
  readonly layout: OciLayout;
  /** Which image of the layout; `undefined` = its only one. */
  readonly ref: string | undefined;
}

/** What {@link gatherInputs} goes by. */
export interface GatherInputsOptions {
  readonly cwd: string;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly mirrors: Mirrors;
}

/**
 * Finds the trees and layouts of a chain.
 *
 * Rejects with `ERR_KILN_FILE_NOT_FOUND` or `ERR_KILN_FILE_UNREADABLE` naming the step and the place of its
 * call, and `ERR_KILN_LAYOUT_INVALID`. Nothing is sent anywhere.
 */
export async function gatherInputs(needs: Needs, options: GatherInputsOptions): Promise<LocalInputs> {
  const { cwd, files, mirrors } = options;
  const treeFacts = new Map<string, TreeFact>();
  const trees = new Map<string, Tree>();
  const sources = new Map<string, LocalSource>();
  for (const need of needs.trees) {
    const root = await findTree(need, cwd);
    const exclude = [...ignoreLines(need, files), ...need.ignore];
    const more = Object.entries(need.files ?? {}).map(([at, path]) => [at, resolve(cwd, path)] as const);
    const sharedKeyHint = treeKey(root, { need, exclude, files: more });
    const name = `kiln-${sharedKeyHint}`;
    treeFacts.set(need.id, { name, sharedKeyHint });
    if (trees.has(name)) continue;
    const parts = { root, exclude, files: new Map(more) };
    trees.set(name, treeOf(need, parts));
    sources.set(name, sourceOf(need, parts));
  }
  const mirrorLayouts: MirrorLayout[] = [];
  for (const { key, path } of needs.usesDockerfile ? layoutMirrors(mirrors) : []) {
    const layout = await openOciLayout(resolve(cwd, path));
    mirrorLayouts.push({ key, layout, store: `kiln-${shortHash(layout.dir)}` });
  }
  const layouts = new Map<string, LocalBase>();
  for (const need of needs.bases) {
    const base = await findLayout(need, cwd, mirrors);
    if (base !== undefined) layouts.set(need.id, { ...base, store: layoutStoreId(base.layout) });
  }
  return { treeFacts, trees, sources, layouts, mirrorLayouts };
}

/** What a tree is made of: a directory or file, what is left out, and further files by path. */
interface TreeParts {
  readonly root: string;
  readonly exclude: readonly string[];
  readonly files: ReadonlyMap<string, string>;
}

function sourceOf(need: TreeNeed, { root, exclude, files }: TreeParts): LocalSource {
  const view = {
    permissions: need.mode === "normalize" ? "normalize" : "keep",
    times: need.times ?? "drop",
  } as const;
  return need.kind === "file"
    ? { scan: { kind: "file", path: root, name: "file", ...view }, locate: () => root }
    : {
        scan: { kind: "dir", root, exclude, files, ...view },
        locate: (path) => files.get(path) ?? join(root, path),
      };
}

function treeOf(need: TreeNeed, { root, exclude, files }: TreeParts): Tree {
  const permissions = need.mode === "normalize" ? "normalize" : "keep";
  if (need.kind === "file") return singleFileTree({ path: root, name: "file", permissions });
  const tree = openTree({ root, exclude, permissions });
  if (files.size === 0) return tree;
  try {
    return overlayTree(tree, files, { permissions });
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw new KilnError(error.code, `${need.title}: ${error.message}`, {
      cause: error,
      hint: error.hint ?? "Paths are relative to the build's working directory.",
      location: need.location,
    });
  }
}

/** Makes layouts of the tars of root filesystems that a chain starts from, for one platform. */
export async function gatherRootfs(
  needs: Needs,
  options: {
    readonly cwd: string;
    readonly cacheDir: string;
    readonly platform: Platform;
    readonly signal: AbortSignal | undefined;
  },
): Promise<ReadonlyMap<string, LocalBase>> {
  const { cwd, cacheDir, platform, signal } = options;
  const layouts = new Map<string, LocalBase>();
  for (const need of needs.bases) {
    if (need.kind !== "rootfs") continue;
    const { location } = need;
    const made = await rootfsLayout(resolve(cwd, need.path), { cacheDir, platform, signal, location });
    const layout = await openOciLayout(made.dir, { location });
    layouts.set(need.id, { layout, ref: made.digest, store: layoutStoreId(layout) });
  }
  return layouts;
}

function layoutStoreId({ dir }: OciLayout): string {
  return `kiln-${shortHash(dir)}`;
}

async function findLayout(
  need: BaseNeed,
  cwd: string,
  mirrors: Mirrors,
): Promise<Omit<LocalBase, "store"> | undefined> {
  const { location } = need;
  switch (need.kind) {
    case "oci-layout":
      return { layout: await openOciLayout(resolve(cwd, need.path), { location }), ref: need.ref };
    case "registry": {
      const mirror = mirrored(need, mirrors);
      if (mirror?.kind !== "oci-layout") return undefined;
      const layout = await openOciLayout(resolve(cwd, mirror.path), { location });
      const names = layout.index.manifests.flatMap((entry) => namesOf(entry));
      const ref = mirror.names.find((name) => names.includes(name));
      if (ref !== undefined) return { layout, ref };
      throw new KilnError("ERR_KILN_IMAGE_NOT_FOUND", `the mirror ${layout.dir} has no image ${need.ref}`, {
        hint: `It has ${names.join(", ") || "none"}; looked for ${mirror.names.join(", ")}.`,
        location,
      });
    }
    case "rootfs":
    case "stored":
      // The first is found once the platform is known, the second by its name before.
      return undefined;
    default:
      return need satisfies never;
  }
}

function namesOf({ digest, annotations }: Descriptor): readonly string[] {
  const names = [annotations?.[annotationKeys.imageName], annotations?.[annotationKeys.refName]];
  return [...names.flatMap((name) => name ?? []), digest];
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
      hint: `Name a ${need.kind === "dir" ? "directory" : "file"}: addLocalDir takes directories, addLocalFile files.`,
      location: need.location,
    },
  );
}

function ignoreLines(need: TreeNeed, files: ReadonlyMap<string, Uint8Array>): readonly string[] {
  const bytes = need.ignoreFiles.map((id) => files.get(id)).find((found) => found !== undefined);
  return bytes === undefined ? [] : parseIgnoreFile(new TextDecoder().decode(bytes));
}

// Unique to the path and to what of it is sent: two trees must never share the daemon's copy of one.
function treeKey(
  root: string,
  {
    need,
    exclude,
    files,
  }: {
    readonly need: TreeNeed;
    readonly exclude: readonly string[];
    readonly files: readonly (readonly [string, string])[];
  },
): string {
  const times = need.times === undefined ? [] : [{ times: need.times }];
  return shortHash(JSON.stringify([need.kind, root, need.mode, exclude, ...files, ...times]));
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 24);
}

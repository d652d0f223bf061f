import type { CacheIndex } from "../../cache/records/cache-index.js";
import { manifestTree } from "../../cache/trees/manifest-tree.js";
import { type ScanTreeOptions, scanTree } from "../../cache/trees/scan-tree.js";
import type { TreeManifest } from "../../cache/trees/tree-manifest.js";
import type { Tree } from "../../fsutil/tree.js";
import type { Gathered } from "../inputs/gather.js";
import { learnDiff } from "./tree-diffs.js";

/** A local tree of a build, as it is now. */
export interface ScannedInput {
  /** Names the tree in the index: what lies where, and what of it counts. */
  readonly key: string;
  readonly manifest: TreeManifest;
  /** Where a path of it lies on disk. */
  readonly locate: (path: string) => string;
}

/** The local trees of a build, by need id. */
export type ScannedInputs = ReadonlyMap<string, ScannedInput>;

/**
 * Looks through a build's local trees; what has not changed since the last time is not read. Those that nothing seems to
 * read are left out: a Dockerfile's context is the working directory by default, with whatever is in it.
 *
 * Rejects with `ERR_KILN_FILE_UNREADABLE`, with `ERR_KILN_FILE_CHANGED` for a file that is written to all the while, or the
 * signal's reason.
 */
export async function scanInputs(
  gathered: Gathered,
  options: Pick<ScanTreeOptions, "signal" | "onChanged" | "later"> & { readonly index: CacheIndex },
): Promise<ScannedInputs> {
  const { needs, inputs } = gathered;
  const byName = new Map<string, ScannedInput>();
  const scans = new Map<string, ScannedInput>();
  for (const { id, unread } of needs.trees) {
    if (unread === true) continue;
    const fact = inputs.treeFacts.get(id);
    const source = fact && inputs.sources.get(fact.name);
    if (fact === undefined || source === undefined) continue;
    let scan = byName.get(fact.name);
    if (scan === undefined) {
      const key = fact.sharedKeyHint;
      const { manifest, since } = await scanTree(source.scan, { ...options, key });
      if (since !== undefined) learnDiff(manifest, since);
      scan = { key, manifest, locate: source.locate };
      byName.set(fact.name, scan);
    }
    scans.set(id, scan);
  }
  return scans;
}

/**
 * The same build with its trees as they were scanned: what is sent is that, or nothing. `onSent` is told of the bytes of
 * files that were read to be sent.
 */
export function withScans(
  gathered: Gathered,
  scans: ScannedInputs,
  onSent: (bytes: number) => void = () => {},
): Gathered {
  const { needs, inputs, settings } = gathered;
  const trees = new Map(settings.trees ?? []);
  for (const { id, times } of needs.trees) {
    const fact = inputs.treeFacts.get(id);
    const scan = scans.get(id);
    const tree = fact && inputs.trees.get(fact.name);
    if (fact === undefined || scan === undefined || tree === undefined) continue;
    trees.set(fact.name, counted(manifestTree(scan.manifest, tree, { times }), onSent));
  }
  return { ...gathered, settings: { ...settings, trees } };
}

/** Digests of trees by need id. */
export function digestsOf(scans: ScannedInputs): ReadonlyMap<string, string> {
  return new Map([...scans].map(([id, { manifest }]) => [id, manifest.digest]));
}

function counted(tree: Tree, onSent: (bytes: number) => void): Tree {
  return {
    root: tree.root,
    walk: (options) => tree.walk(options),
    narrow: (filter) => counted(tree.narrow(filter), onSent),
    async *read(path, options) {
      for await (const chunk of tree.read(path, options)) {
        onSent(chunk.length);
        yield chunk;
      }
    },
  };
}

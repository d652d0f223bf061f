import { comparePaths } from "../../fsutil/byte-order.js";
import { Pacer } from "../../fsutil/pacer.js";
import { type ComparedEntry, entryDifferences } from "./entry-differences.js";
import { type ChangedPath, samePathsDiff } from "./same-paths.js";
import type { StoredTree } from "./stored-tree.js";
import { TreeCursor } from "./tree-cursor.js";
import type { TreeManifest } from "./tree-manifest.js";
import { TreeView } from "./tree-view.js";

/** What became of one tree. Lists are in the protocol's order and as long as was asked for. */
export interface ManifestDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly ChangedPath[];
  /** Files with content that went from one path to another, where it was not before. */
  readonly renamed: readonly { readonly from: string; readonly to: string }[];
  /** All differences, also those beyond the lists' length; one for a renamed file. */
  readonly total: number;
}

/** How {@link diffManifests} compares. */
export interface DiffManifestsOptions {
  /** The most paths in each list. Default 1,000. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Path {
  readonly path: string;
  /** sha256 of a regular file that has content, else empty. */
  readonly sha256: string;
}

/** Compares two manifests path by path, in slices between which the event loop turns. Rejects with the signal's reason. */
export async function diffManifests(
  before: TreeManifest,
  after: TreeManifest,
  options: DiffManifestsOptions = {},
): Promise<ManifestDiff> {
  const { limit = 1000, signal } = options;
  const pacer = new Pacer();
  const added: Path[] = [];
  const removed: Path[] = [];
  const changed: ChangedPath[] = [];
  let changes = 0;
  if (before.digest !== after.digest) {
    const same = samePathsDiff(before.stored, after.stored);
    if (same !== undefined) {
      return { added: [], removed: [], renamed: [], changed: same.slice(0, limit), total: same.length };
    }
    const [old, young] = [new Side(before), new Side(after)];
    while (!old.ended || !young.ended) {
      const order = young.ended ? -1 : old.ended ? 1 : comparePaths(old.path, young.path);
      if (order < 0) removed.push(old.take());
      else if (order > 0) added.push(young.take());
      else {
        const what = entryDifferences(old, young);
        if (what.length > 0) {
          changes += 1;
          if (changed.length < limit) changed.push({ path: old.path, what });
        }
        old.next();
        young.next();
      }
      if (!pacer.due()) continue;
      await pacer.rest();
      signal?.throwIfAborted();
    }
  }
  const renamed = findRenames(removed, added);
  const from = new Set(renamed.map((each) => each.from));
  const to = new Set(renamed.map((each) => each.to));
  const pathsOf = (paths: readonly Path[], without: ReadonlySet<string>): readonly string[] =>
    paths.flatMap(({ path }) => (without.has(path) ? [] : [path])).slice(0, limit);
  return {
    added: pathsOf(added, to),
    removed: pathsOf(removed, from),
    changed,
    renamed: renamed.slice(0, limit),
    total: changes + added.length + removed.length - renamed.length,
  };
}

function findRenames(
  removed: readonly Path[],
  added: readonly Path[],
): readonly { readonly from: string; readonly to: string }[] {
  if (removed.length === 0 || added.length === 0) return [];
  const places = new Map<string, string[]>();
  for (const { path, sha256 } of removed.toReversed()) {
    if (sha256 === "") continue;
    const known = places.get(sha256);
    if (known === undefined) places.set(sha256, [path]);
    else known.push(path);
  }
  return added.flatMap(({ path: to, sha256 }) => {
    const from = sha256 === "" ? undefined : places.get(sha256)?.pop();
    return from === undefined ? [] : [{ from, to }];
  });
}

/** One of two manifests, gone through in order. */
class Side implements ComparedEntry {
  ended = false;
  readonly manifest: TreeManifest;
  readonly #cursor: TreeCursor;
  readonly #view: TreeView;
  readonly #firstLinks = new Map<number, string>();

  constructor(manifest: TreeManifest) {
    this.manifest = manifest;
    this.#cursor = new TreeCursor(manifest.stored);
    this.#view = new TreeView(manifest.stored, manifest.stored.view);
    this.next();
  }

  get path(): string {
    return this.#cursor.path;
  }

  get entry(): number {
    return this.#cursor.entry;
  }

  get tree(): StoredTree {
    return this.manifest.stored;
  }

  get link(): string {
    const first = this.manifest.firstLink(this.entry);
    if (first === undefined || first === this.entry) return this.#view.target(this.entry);
    return this.#firstLinks.get(first) ?? "";
  }

  next(): void {
    this.ended = !this.#cursor.next();
    if (!this.ended && this.manifest.firstLink(this.entry) === this.entry) {
      this.#firstLinks.set(this.entry, this.path);
    }
  }

  take(): Path {
    const filled = (this.manifest.stored.size[this.entry] ?? 0) > 0;
    const taken = { path: this.path, sha256: filled ? this.manifest.sha256At(this.entry) : "" };
    this.next();
    return taken;
  }
}

import { KilnError } from "../errors.js";
import { comparePaths } from "./byte-order.js";
import { hasWildcard, matchGlob } from "./glob.js";
import { cleanPath, joinPath } from "./go-path.js";

/** As many links as Linux follows for one path. */
const MAX_HOPS = 40;
const MAX_PATHS = 50_000;

/** What resolving symlinks needs to know of a tree. Paths are clean and relative. */
export interface LinkReader {
  /** A symlink's target; `undefined` when the path is none, is not there or is not part of the tree. */
  readLink(path: string): string | undefined;
  /** The names inside a directory. */
  listNames(path: string): readonly string[];
}

/** Where the symlinks that a path names lead; `undefined` when it names none. */
type TargetsOf = (path: string) => readonly string[] | undefined;

interface Pending {
  readonly path: string;
  readonly hops: number;
}

/**
 * Resolves paths to what must be sent so that each can be opened on the other side: every symlink on the way
 * and the place where it ends, as fsutil's `FollowLinks`. Links are resolved as if the root were `/`, so that
 * they never lead out; a path that begins with `..` is taken as it is and matches nothing. Any name of a path
 * may be a wildcard. Two paths through the same link are both followed (fsutil drops the second).
 *
 * Returns patterns in the order of a walk, without those that lie inside another; `undefined` when the whole
 * root is wanted. Throws `ERR_KILN_LIMIT_EXCEEDED` when links multiply beyond all measure.
 */
export function followPaths(tree: LinkReader, paths: readonly string[]): readonly string[] | undefined {
  const resolved = new Set<string>();
  const seen = new Set<string>();
  const known = new Map<string, readonly string[] | undefined>();
  const targetsOf: TargetsOf = (path) => {
    if (!known.has(path)) known.set(path, linkTargets(tree, path));
    return known.get(path);
  };
  const queue: Pending[] = paths.map((path) => ({ path: relative(path), hops: 0 }));
  // Grows while it is gone through: nearer paths first, so that a multitude shows while paths are short.
  for (const next of queue) {
    if (seen.has(next.path) || next.hops > MAX_HOPS) continue;
    seen.add(next.path);
    for (const path of resolveOne(targetsOf, next.path, resolved)) queue.push({ path, hops: next.hops + 1 });
    if (queue.length > MAX_PATHS) {
      throw new KilnError("ERR_KILN_LIMIT_EXCEEDED", `following symlinks led to over ${MAX_PATHS} paths`);
    }
  }
  return dropInner([...resolved].sort(comparePaths));
}

/** Goes down a path until symlinks end it or nothing is left; returns the paths to go on with. */
function resolveOne(targetsOf: TargetsOf, path: string, resolved: Set<string>): readonly string[] {
  const names = path === ".." || path.startsWith("../") ? [] : path.split("/");
  for (let depth = 1; depth < names.length; depth += 1) {
    const current = names.slice(0, depth).join("/");
    const targets = targetsOf(current);
    if (targets === undefined) continue;
    resolved.add(current);
    const rest = names.slice(depth).join("/");
    return targets.map((target) => relative(joinPath("/", target, rest)));
  }
  resolved.add(path);
  return names.length > 0 ? (targetsOf(path) ?? []).map((target) => relative(target)) : [];
}

/** Where the symlinks that a path names lead, from the root on; `undefined` when it names none. */
function linkTargets(tree: LinkReader, path: string): readonly string[] | undefined {
  const slash = path.lastIndexOf("/");
  const parent = path.slice(0, Math.max(slash, 0));
  const name = path.slice(slash + 1);
  if (!hasWildcard(name)) return linkTarget(tree, parent, path);
  const found: string[] = [];
  for (const candidate of tree.listNames(parent)) {
    if (!matchGlob(name, candidate)) continue;
    found.push(...(linkTarget(tree, parent, parent === "" ? candidate : `${parent}/${candidate}`) ?? []));
  }
  return found.length > 0 ? found : undefined;
}

function linkTarget(tree: LinkReader, parent: string, path: string): readonly string[] | undefined {
  const target = path === "." ? undefined : tree.readLink(path);
  if (target === undefined) return undefined;
  const clean = cleanPath(target);
  return [clean.startsWith("/") ? clean : joinPath("/", parent, clean)];
}

function relative(path: string): string {
  const clean = cleanPath(path);
  return clean === "/" ? "." : clean.replace(/^\//, "");
}

/** Drops what lies inside the entry kept before it; `undefined` when the root itself is listed. */
export function dropInner(sorted: readonly string[]): readonly string[] | undefined {
  const kept: string[] = [];
  let last = "";
  for (const path of sorted) {
    if (path === ".") return undefined;
    if (path.startsWith(`${last}/`)) continue;
    kept.push(path);
    last = path;
  }
  return kept;
}

import { KilnError } from "../errors.js";
import { hasWildcard, matchGlob } from "./glob.js";
import { cleanPath, joinPath } from "./go-path.js";

/** As many links as Linux follows for one path. */
const MAX_HOPS = 40;
const MAX_PATHS = 100_000;

/** What resolving symlinks needs to know of a tree. Paths are clean and relative. */
export interface LinkReader {
  /** A symlink's target; `undefined` when the path is none, is not there or is not part of the tree. */
  readLink(path: string): string | undefined;
  /** The names inside a directory. */
  listNames(path: string): readonly string[];
}

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
 * Returns patterns in byte order without those that lie inside another; `undefined` when the whole root is
 * wanted. Throws `ERR_KILN_LIMIT_EXCEEDED` when links multiply beyond all measure.
 */
export function followPaths(tree: LinkReader, paths: readonly string[]): readonly string[] | undefined {
  const resolved = new Set<string>();
  const seen = new Set<string>();
  const queue: Pending[] = paths.map((path) => ({ path: relative(path), hops: 0 }));
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (seen.has(next.path) || next.hops > MAX_HOPS) continue;
    seen.add(next.path);
    for (const path of resolveOne(tree, next.path, resolved)) queue.push({ path, hops: next.hops + 1 });
    if (seen.size + queue.length > MAX_PATHS) {
      throw new KilnError("ERR_KILN_LIMIT_EXCEEDED", `following symlinks led to over ${MAX_PATHS} paths`);
    }
  }
  return dropInner([...resolved].sort(compareBytes));
}

/** Goes down a path until symlinks end it or nothing is left; returns the paths to go on with. */
function resolveOne(tree: LinkReader, path: string, resolved: Set<string>): readonly string[] {
  const names = path === ".." || path.startsWith("../") ? [] : path.split("/");
  for (let depth = 1; depth < names.length; depth += 1) {
    const current = names.slice(0, depth).join("/");
    const targets = linkTargets(tree, current);
    if (targets === undefined) continue;
    resolved.add(current);
    const rest = names.slice(depth).join("/");
    return targets.map((target) => relative(joinPath("/", target, rest)));
  }
  resolved.add(path);
  return names.length > 0 ? (linkTargets(tree, path) ?? []).map((target) => relative(target)) : [];
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

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Drops what lies inside an entry before it; `undefined` when the root itself is listed. */
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

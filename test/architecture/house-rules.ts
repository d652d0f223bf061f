import { posix } from "node:path";
import type { SourceTree } from "./source-tree.js";
import { type Use, usesOf } from "./uses.js";

const UP_TO_WORKERS = [
  ...["gen", "internal", "oci", "llb", "model", "image", "fsutil", "layers", "estargz"],
  ...["rpc", "session", "solver", "cache", "workers"],
] as const;

/** The rooms of `src` and which other rooms each may import. `src/errors.ts` is open to all. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  gen: [],
  internal: [],
  oci: ["internal"],
  llb: ["internal", "gen", "oci"],
  model: ["oci", "llb"],
  image: ["internal", "oci", "llb", "model"],
  fsutil: ["internal", "gen"],
  layers: ["internal", "oci", "fsutil"],
  estargz: ["internal", "oci", "layers"],
  rpc: ["internal", "gen"],
  session: ["internal", "gen", "oci", "fsutil", "rpc"],
  solver: ["internal", "gen", "oci", "llb", "model", "rpc", "session"],
  cache: ["internal", "oci", "llb", "model", "fsutil"],
  workers: ["internal", "oci", "model", "cache", "solver"],
  provision: ["internal"],
  engine: UP_TO_WORKERS,
  testing: [...UP_TO_WORKERS, "provision", "engine"],
  cli: ["engine", "provision", "image", "llb", "model"],
};

/** Folders of large rooms, and which other folders of the room each may import. Files beside them are open to all. */
const FOLDERS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  cache: { trees: [], records: [], explain: [], sharing: [] },
  engine: {
    registries: [],
    outputs: ["registries"],
    inputs: ["registries", "outputs"],
    bases: ["registries", "inputs"],
    trees: ["registries", "outputs", "inputs"],
  },
};

/** What the root barrel may not draw from: generated code and rooms that are no part of the root entry. */
const CLOSED_TO_THE_BARREL = ["gen", "internal", "provision", "testing", "cli"];

/** Rooms that compile without touching the machine. */
const PURE_ROOMS = ["llb", "image"];
const IMPURE_MODULES =
  /^(?:node:)?(?:fs|net|http|https|http2|child_process|os|dgram|dns|tls|worker_threads|cluster|timers)(?:\/.*)?$/;
const CLOCK_AND_RANDOMNESS =
  /^(?:Math\.random|Date\.now|new Date\(\)|performance\.\w+|crypto\.(?:random\w*|getRandomValues)|setTimeout|setInterval)$/;

/** Packages that belong to certain rooms. */
const PACKAGE_OWNERS: Readonly<Record<string, readonly string[]>> = {
  "@grpc/grpc-js": ["rpc", "session", "testing"],
  commander: ["cli"],
};

/** Small packages that the build makes part of its files: users do not install them. */
export const BUNDLED: ReadonlySet<string> = new Set(["commander", "picocolors", "smol-toml", "valibot"]);

/** Loads packages that need not be installed: by a literal name, compilers and bundlers would want them all the same. */
const OPTIONAL_PACKAGES = "src/session/registry-credentials/aws-sdk.ts";

const TERMINAL = /^(?:console(?:\.\w+)?|process\.(?:stdout|stderr|exit|exitCode|abort))$/;

/**
 * Checks a source tree against the house's rules: who may import whom, which packages and modules belong to
 * which room, who may print, and that no files import one another in a circle.
 *
 * @param tree - Files under `src`, by path.
 * @param dependencies - Packages that the published package depends on.
 * @returns One sentence for each violation, beginning with `path:line`.
 */
export function violationsOf(tree: SourceTree, dependencies: ReadonlySet<string>): readonly string[] {
  const found: string[] = [];
  const edges = new Map<string, readonly string[]>();
  for (const [path, text] of tree) {
    const room = roomOf(path);
    if (room === undefined) found.push(`${path}:1: is in no known room`);
    const folders = FOLDERS[room ?? ""];
    const folder = folderOf(path);
    if (folders !== undefined && folder !== undefined && !Object.hasOwn(folders, folder))
      found.push(`${path}:1: is in no known folder`);
    const targets: string[] = [];
    for (const use of usesOf(path, text)) {
      // Types may name one another in a circle (a node and the list of all nodes): nothing of it is loaded.
      const isLoaded = use.kind !== "import" || !use.typeOnly;
      const problem = problemWith(use, path, room, tree, dependencies, isLoaded ? targets : []);
      if (problem !== undefined) found.push(`${path}:${use.line}: ${problem}`);
    }
    edges.set(path, targets);
  }
  for (const cycle of cyclesIn(edges))
    found.push(`${cycle[0]}:1: imports itself by way of ${cycle.join(" → ")}`);
  return found;
}

/** Names the room of a file; `index` and `errors` stand for the two files outside rooms. */
function roomOf(path: string): string | undefined {
  if (path === "src/index.ts") return "index";
  if (path === "src/errors.ts") return "errors";
  const room = /^src\/([^/]+)\/./.exec(path)?.[1];
  return room !== undefined && Object.hasOwn(ROOMS, room) ? room : undefined;
}

function problemWith(
  use: Use,
  path: string,
  room: string | undefined,
  tree: SourceTree,
  dependencies: ReadonlySet<string>,
  targets: string[],
): string | undefined {
  if (room === undefined) return undefined;
  if (use.kind === "computed-import") {
    return room === "cli" || path === OPTIONAL_PACKAGES
      ? undefined
      : "imports a module whose name is computed";
  }
  if (use.kind === "global") return problemWithGlobal(use.name, room);
  if (!/^\.{1,2}\//.test(use.specifier)) return problemWithPackage(use.specifier, room, dependencies);
  const target = posix.join(posix.dirname(path), use.specifier).replace(/\.js$/, ".ts");
  if (!tree.has(target)) return `imports ${use.specifier}, which is no file of src`;
  targets.push(target);
  return problemWithRoom(room, roomOf(target)) ?? problemWithFolder(path, target);
}

/** The folder of a file within its room; `undefined` for one beside the folders. */
function folderOf(path: string): string | undefined {
  return /^src\/[^/]+\/([^/]+)\/./.exec(path)?.[1];
}

function problemWithFolder(path: string, target: string): string | undefined {
  const room = roomOf(path) ?? "";
  const [from, to] = [folderOf(path), folderOf(target)];
  if (roomOf(target) !== room || from === undefined || to === undefined || from === to) return undefined;
  const allowed = FOLDERS[room]?.[from];
  if (allowed === undefined || allowed.includes(to)) return undefined;
  return `${room}/${from} may not import ${room}/${to}`;
}

function problemWithRoom(from: string, to: string | undefined): string | undefined {
  if (to === undefined || to === from) return undefined;
  if (to === "index") return `${from} may not import the root barrel`;
  if (from === "errors") return `errors.ts may not import ${to}`;
  if (to === "errors") return undefined;
  const allowed = from === "index" ? !CLOSED_TO_THE_BARREL.includes(to) : ROOMS[from]?.includes(to) === true;
  return allowed ? undefined : `${from} may not import ${to}`;
}

function problemWithPackage(
  specifier: string,
  room: string,
  dependencies: ReadonlySet<string>,
): string | undefined {
  if (PURE_ROOMS.includes(room) && IMPURE_MODULES.test(specifier))
    return `${room} may not import ${specifier}`;
  if (specifier.startsWith("node:")) return undefined;
  const name = /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;
  if (!dependencies.has(name) && !BUNDLED.has(name)) return `${name} is no dependency of the package`;
  const owners = PACKAGE_OWNERS[name];
  return owners === undefined || owners.includes(room) ? undefined : `${room} may not import ${name}`;
}

function problemWithGlobal(name: string, room: string): string | undefined {
  if (room !== "cli" && TERMINAL.test(name)) return `${room} may not use ${name}`;
  if (room === "llb" && CLOCK_AND_RANDOMNESS.test(name)) return `${room} may not use ${name}`;
  if (PURE_ROOMS.includes(room) && name === "fetch") return `${room} may not use ${name}`;
  return undefined;
}

/** Finds groups of files that reach each other, each given as one closed path (Tarjan's components). */
function cyclesIn(edges: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const components: string[][] = [];
  const connect = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    stack.push(node);
    for (const next of edges.get(node) ?? []) {
      if (!index.has(next)) connect(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) !== index.get(node)) return;
    const component = stack.splice(stack.indexOf(node));
    if (component.length > 1 || edges.get(node)?.includes(node) === true) components.push(component);
  };
  for (const node of edges.keys()) if (!index.has(node)) connect(node);
  return components.map((component) => shortestCycle(component, edges));
}

/** Walks breadth-first from a component's first file back to itself. */
function shortestCycle(
  component: readonly string[],
  edges: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const start = [...component].sort()[0]!;
  const queue: string[][] = [[start]];
  const seen = new Set<string>();
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    for (const next of edges.get(path.at(-1)!) ?? []) {
      if (next === start) return [...path, start];
      if (seen.has(next) || !component.includes(next)) continue;
      seen.add(next);
      queue.push([...path, next]);
    }
  }
  return component;
}

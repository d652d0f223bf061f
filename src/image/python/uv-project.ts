import { posix } from "node:path";
import { KilnError } from "../../errors.js";
import type { NeedsContext, StepNeeds } from "../define-step.js";
import { normalName, unknownGroup } from "./pyproject.js";
import { readToml, stringsIn, type TomlTable, tableAt } from "./toml.js";

/** What a uv project is asked for. */
export interface UvProjectQuery {
  readonly dir: string;
  readonly groups: readonly string[];
  readonly extras: readonly string[];
}

/** A file of a project's directory, by its step's key. */
const rootFiles = {
  "pyproject.toml": { optional: false },
  "uv.lock": { optional: true },
  "uv.toml": { optional: true },
} as const;

const membersKey = "members";

/** A local path that joins a directory as the user wrote it and a path in it. */
export function inProject(dir: string, path: string): string {
  return dir.endsWith("/") ? `${dir}${path}` : `${dir}/${path}`;
}

/** What `uv sync` of a project needs: its files, and the `pyproject.toml` of each member if it is a workspace. */
export function uvProjectNeeds(dir: string, context: NeedsContext): StepNeeds {
  const files = Object.entries(rootFiles).map(
    ([name, { optional }]) => [name, { path: inProject(dir, name), optional }] as const,
  );
  const content = context.file("pyproject.toml");
  const toml = content && readToml(content, inProject(dir, "pyproject.toml"));
  const patterns = toml === undefined ? undefined : memberPatterns(toml, inProject(dir, "pyproject.toml"));
  const members = memberPaths(context.listing(membersKey) ?? []).map(
    (path) => [path, { path: inProject(dir, path), optional: false }] as const,
  );
  return {
    files: Object.fromEntries([...files, ...members]),
    listings: patterns === undefined ? {} : { [membersKey]: { path: dir, patterns } },
  };
}

/**
 * The files of a project by their path in it, as `uv sync` wants them.
 *
 * Throws `ERR_KILN_FILE_INVALID` for groups and extras that do not exist, for dependencies whose source is a path that is
 * no member of the workspace, and for a member of a workspace whose root is elsewhere.
 */
export function uvProjectFiles(
  query: UvProjectQuery,
  context: { file(key: string): Uint8Array | undefined; listing(key: string): readonly string[] },
): ReadonlyMap<string, Uint8Array> {
  const names = [...Object.keys(rootFiles), ...memberPaths(context.listing(membersKey))];
  const files = new Map<string, Uint8Array>();
  for (const name of names) {
    const content = context.file(name);
    if (content !== undefined) files.set(name, content);
  }
  const projects = [...files]
    .filter(([name]) => posix.basename(name) === "pyproject.toml")
    .map(([name, content]) => readProject(name, content, query.dir));
  checkNames(query, projects);
  for (const project of projects) checkSources(query, project, projects);
  return files;
}

interface UvProject {
  /** Its directory in the workspace, `.` for the root. */
  readonly dir: string;
  /** Its file as the user would write it. */
  readonly path: string;
  readonly toml: TomlTable;
  readonly extras: ReadonlyMap<string, readonly string[]>;
  readonly groups: ReadonlyMap<string, readonly string[]>;
}

function readProject(name: string, content: Uint8Array, root: string): UvProject {
  const path = inProject(root, name);
  const toml = readToml(content, path);
  const legacyDev = stringsIn(tableAt(toml, "tool", "uv")?.["dev-dependencies"]);
  return {
    dir: posix.dirname(name),
    path,
    toml,
    extras: namedLists(tableAt(toml, "project", "optional-dependencies")),
    groups: new Map([
      ...(legacyDev === undefined ? [] : ([["dev", legacyDev]] as const)),
      ...namedLists(tableAt(toml, "dependency-groups")),
    ]),
  };
}

function namedLists(table: TomlTable | undefined): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.entries(table ?? {}).map(([name, list]) => [name, stringsIn(list) ?? []]));
}

function checkNames({ dir, groups, extras }: UvProjectQuery, projects: readonly UvProject[]): void {
  const path = inProject(dir, "pyproject.toml");
  for (const [what, wanted, key] of [
    ["dependency groups", groups, "groups"],
    ["optional dependencies", extras, "extras"],
  ] as const) {
    const known = projects.flatMap((project) => [...project[key].keys()]);
    const normal = new Set(known.map(normalName));
    for (const name of wanted) {
      if (!normal.has(normalName(name))) throw unknownGroup(path, what, name, known);
    }
  }
}

function checkSources(query: UvProjectQuery, project: UvProject, projects: readonly UvProject[]): void {
  const isWorkspace = projects.some(({ toml }) => tableAt(toml, "tool", "uv", "workspace") !== undefined);
  // Sources of the root are those of its members too.
  const users = project.dir === "." ? projects : [project];
  const needed = new Set(users.flatMap((user) => [...neededNames(query, user)]));
  for (const [name, source] of Object.entries(tableAt(project.toml, "tool", "uv", "sources") ?? {})) {
    if (!needed.has(normalName(name))) continue;
    for (const entry of Array.isArray(source) ? (source as readonly unknown[]) : [source]) {
      const { path, workspace } = (typeof entry === "object" && entry !== null ? entry : {}) as TomlTable;
      if (workspace === true && !isWorkspace) {
        throw new KilnError(
          "ERR_KILN_FILE_INVALID",
          `${project.path}: ${name} comes from a workspace whose root is another directory`,
          {
            hint: 'Name the directory with [tool.uv.workspace]: uvSync("..", { extraOptions: "--package NAME" }).',
          },
        );
      }
      if (typeof path !== "string") continue;
      const target = posix.join(project.dir, path);
      if (!posix.isAbsolute(path) && projects.some(({ dir }) => dir === posix.join(target, "."))) continue;
      throw new KilnError(
        "ERR_KILN_FILE_INVALID",
        `${project.path}: the source of ${name} is the path ${path}, which the step does not have`,
        {
          hint: "Make it a member of the workspace, or copy both by addLocalDir and run uv there by runCommands.",
        },
      );
    }
  }
}

/** Names of what is installed for a project directly: its dependencies, and those of extras and groups that are asked for. */
function neededNames({ groups, extras }: UvProjectQuery, project: UvProject): ReadonlySet<string> {
  const defaults = tableAt(project.toml, "tool", "uv")?.["default-groups"];
  const chosen = new Set(
    [...groups, ...(defaults === "all" ? project.groups.keys() : (stringsIn(defaults) ?? ["dev"]))].map(
      normalName,
    ),
  );
  const wantedExtras = new Set(extras.map(normalName));
  const lists = [
    stringsIn(tableAt(project.toml, "project")?.["dependencies"]) ?? [],
    ...[...project.extras].filter(([name]) => wantedExtras.has(normalName(name))).map(([, list]) => list),
    ...[...project.groups].filter(([name]) => chosen.has(normalName(name))).map(([, list]) => list),
  ];
  const names = lists.flat().map((item) => /^[A-Za-z0-9][\w.-]*/.exec(item.trim())?.[0] ?? "");
  return new Set(names.map(normalName));
}

/** Patterns of the members' `pyproject.toml`s; `undefined` for a project that is no workspace. */
function memberPatterns(toml: TomlTable, path: string): readonly string[] | undefined {
  const workspace = tableAt(toml, "tool", "uv", "workspace");
  if (workspace === undefined) return undefined;
  const patternOf = (glob: string): string => {
    const clean = posix.normalize(glob).replace(/\/$/, "");
    if (clean.startsWith("../") || clean === ".." || posix.isAbsolute(clean)) {
      throw new KilnError(
        "ERR_KILN_FILE_INVALID",
        `${path}: the member ${glob} of the workspace is outside of it`,
        {
          hint: "Members are below the directory that holds [tool.uv.workspace].",
        },
      );
    }
    return `${clean}/pyproject.toml`;
  };
  return [
    ...(stringsIn(workspace["members"]) ?? []).map(patternOf),
    ...(stringsIn(workspace["exclude"]) ?? []).map((glob) => `!${patternOf(glob)}`),
  ];
}

/** A pattern also matches what is below a directory that it matches. */
function memberPaths(found: readonly string[]): readonly string[] {
  return found.filter((path) => posix.basename(path) === "pyproject.toml" && path !== "pyproject.toml");
}

import { KilnError } from "../../errors.js";
import { isLocalRequirement } from "./requirements-file.js";
import { stringsIn, type TomlTable, tableAt } from "./toml.js";

/** What a `pyproject.toml` depends on, by the standard's own tables (PEP 621). */
export interface ProjectDependencies {
  /** Its name in its normal form; `undefined` if it has none. */
  readonly name: string | undefined;
  readonly dependencies: readonly string[];
  /** By group name as it is written. */
  readonly optional: ReadonlyMap<string, readonly string[]>;
}

/** A name of a package, extra or group in the one form in which two of them are compared (PEP 503, PEP 685). */
export function normalName(name: string): string {
  return name.replaceAll(/[-_.]+/g, "-").toLowerCase();
}

/**
 * The dependencies of a project.
 *
 * Throws `ERR_KILN_FILE_INVALID` where there is no list of them: it is missing, or made by the project's build
 * (`dynamic`).
 */
export function projectDependencies(toml: TomlTable, path: string): ProjectDependencies {
  const project = tableAt(toml, "project");
  const dynamic = stringsIn(project?.["dynamic"]) ?? [];
  if (dynamic.includes("dependencies")) {
    throw new KilnError(
      "ERR_KILN_FILE_INVALID",
      `${path}: the list of dependencies is dynamic: only the project's own build knows it`,
      { hint: 'Copy the project by addLocalDir and run runCommands("python -m pip install /src").' },
    );
  }
  const dependencies = stringsIn(project?.["dependencies"]);
  if (dependencies === undefined) {
    throw new KilnError("ERR_KILN_FILE_INVALID", `${path}: there are no dependencies in [project]`, {
      hint:
        tableAt(toml, "tool", "poetry", "dependencies") === undefined
          ? 'Write them as dependencies = ["six"] below [project].'
          : "It is a project of Poetry's: use poetryInstallFromFile.",
    });
  }
  const optional = Object.entries(tableAt(toml, "project", "optional-dependencies") ?? {});
  return {
    name: typeof project?.["name"] === "string" ? normalName(project["name"]) : undefined,
    dependencies,
    optional: new Map(optional.map(([name, list]) => [name, stringsIn(list) ?? []])),
  };
}

/**
 * The packages of a project and of some of its optional groups. A group that names others of the same project
 * (`all = ["me[docs,test]"]`) is replaced by theirs, for the project itself is in no index.
 *
 * Throws `ERR_KILN_FILE_INVALID` for a group that does not exist, naming those that do, and for a package that is a
 * file on this machine.
 */
export function packagesOf(
  project: ProjectDependencies,
  groups: readonly string[],
  path: string,
): readonly string[] {
  const byName = new Map([...project.optional].map(([name, list]) => [normalName(name), list]));
  const asked = new Set<string>();
  const packages: string[] = [];
  const add = (list: readonly string[]): void => {
    for (const item of list) {
      const own = /^([A-Za-z0-9][\w.-]*)\s*\[([^\]]*)\]\s*$/.exec(item);
      if (own === null || normalName(own[1] ?? "") !== project.name) packages.push(item);
      else for (const name of (own[2] ?? "").split(",")) addGroup(name.trim());
    }
  };
  const addGroup = (name: string): void => {
    const normal = normalName(name);
    if (asked.has(normal)) return;
    asked.add(normal);
    const list = byName.get(normal);
    if (list === undefined) throw unknownGroup(path, "optional dependencies", name, project.optional.keys());
    add(list);
  };
  add(project.dependencies);
  for (const name of groups) addGroup(name);
  const local = packages.find(isLocalRequirement);
  if (local === undefined) return packages;
  throw new KilnError("ERR_KILN_FILE_INVALID", `${path}: "${local}" is on this machine, not in an index`, {
    hint: 'Copy the package by addLocalDir(…, "/src", { copy: true }) and install it by runCommands("python -m pip install /src").',
  });
}

/** An error about a group that a project does not have. */
export function unknownGroup(path: string, what: string, name: string, known: Iterable<string>): KilnError {
  const names = [...new Set(known)].sort();
  return new KilnError("ERR_KILN_FILE_INVALID", `${path}: there are no ${what} "${name}"`, {
    hint: names.length === 0 ? "The project has none at all." : `There are: ${names.join(", ")}.`,
  });
}

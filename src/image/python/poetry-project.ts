import { KilnError } from "../../errors.js";
import { normalName, unknownGroup } from "./pyproject.js";
import { type TomlTable, tableAt } from "./toml.js";

/** Which groups of a Poetry project are wanted. */
export interface PoetryGroups {
  readonly with: readonly string[];
  readonly without: readonly string[];
  readonly only: readonly string[];
}

/**
 * Checks that a project has the groups that are asked for, and that none of what would be installed is a path on this
 * machine. Throws `ERR_KILN_FILE_INVALID`.
 */
export function checkPoetryProject(toml: TomlTable, wanted: PoetryGroups, path: string): void {
  const groups = groupsOf(toml);
  for (const name of [...wanted.with, ...wanted.without, ...wanted.only]) {
    if (!groups.has(normalName(name))) throw unknownGroup(path, "dependency groups", name, groups.keys());
  }
  for (const [name, group] of groups) {
    if (!isInstalled(name, group.optional, wanted)) continue;
    for (const [dependency, value] of Object.entries(group.dependencies)) {
      for (const entry of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
        if (typeof entry !== "object" || entry === null || !("path" in entry)) continue;
        throw new KilnError(
          "ERR_KILN_FILE_INVALID",
          `${path}: ${dependency} is the path ${String(entry.path)} on this machine, which the step does not have`,
          {
            hint: "Put it into a group that is left out, or copy project and package by addLocalDir and run poetry there by runCommands.",
          },
        );
      }
    }
  }
}

interface PoetryGroup {
  readonly optional: boolean;
  readonly dependencies: TomlTable;
}

function groupsOf(toml: TomlTable): ReadonlyMap<string, PoetryGroup> {
  const groups = new Map<string, PoetryGroup>([
    ["main", { optional: false, dependencies: tableAt(toml, "tool", "poetry", "dependencies") ?? {} }],
  ]);
  const legacyDev = tableAt(toml, "tool", "poetry", "dev-dependencies");
  if (legacyDev !== undefined) groups.set("dev", { optional: false, dependencies: legacyDev });
  for (const name of Object.keys(tableAt(toml, "dependency-groups") ?? {})) {
    groups.set(normalName(name), { optional: false, dependencies: {} });
  }
  for (const [name, group] of Object.entries(tableAt(toml, "tool", "poetry", "group") ?? {})) {
    const table = { group };
    groups.set(normalName(name), {
      optional: tableAt(table, "group")?.["optional"] === true,
      dependencies: tableAt(table, "group", "dependencies") ?? {},
    });
  }
  return groups;
}

function isInstalled(name: string, optional: boolean, wanted: PoetryGroups): boolean {
  const has = (list: readonly string[]): boolean => list.map(normalName).includes(name);
  if (wanted.only.length > 0) return has(wanted.only);
  return (!optional || has(wanted.with)) && !has(wanted.without);
}

import { KilnError } from "../errors.js";
import type { BuilderVersion } from "./builder-version.js";
import { readToml, tableAt } from "./python/toml.js";

/** Files that say which Python a project wants, first that counts first. */
export const projectPythonFiles = [".python-version", "pyproject.toml"] as const;

/** One of {@link projectPythonFiles}. */
export type ProjectPythonFile = (typeof projectPythonFiles)[number];

/**
 * The Python version that a project asks for: what `.python-version` says, else the epoch's default if `requires-python`
 * of `pyproject.toml` allows it, else the newest series that it allows.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for files that say nothing of it, or nothing that can be had, and
 * `ERR_KILN_FILE_INVALID` for a `pyproject.toml` that is no TOML.
 */
export function projectPython(
  read: (file: ProjectPythonFile) => string | undefined,
  builder: BuilderVersion,
): string {
  const pinned = read(".python-version");
  if (pinned !== undefined) return pinnedVersion(pinned);
  const project = read("pyproject.toml");
  const wanted = project === undefined ? undefined : requiresPython(project);
  if (wanted !== undefined) return allowedSeries(wanted, builder);
  const looked =
    project === undefined
      ? `there is neither ${projectPythonFiles.join(" nor ")}`
      : "there is no .python-version, and pyproject.toml has no requires-python in its [project]";
  throw problem(
    looked,
    'Name a version, e.g. pythonVersion: "3.12", or write one of them. Paths start at the build\'s cwd.',
  );
}

function pinnedVersion(text: string): string {
  const [line = ""] = text
    .split("\n")
    .map((each) => each.replace(/#.*/, "").trim())
    .filter((each) => each !== "");
  const [, version] = /^(?:c?python[-@]?)?(3\.\d{1,2}(?:\.\d{1,2}(?:rc\d+)?)?)$/.exec(line) ?? [];
  if (version !== undefined) return version;
  throw problem(
    `.python-version names no CPython that a base has: ${JSON.stringify(line.slice(0, 60))}`,
    'Write a version into it, e.g. "3.12" or "3.12.4".',
  );
}

/** The text of `requires-python` in a pyproject's `[project]`. */
function requiresPython(toml: string): string | undefined {
  const value = tableAt(readToml(toml, "pyproject.toml"), "project")?.["requires-python"];
  return typeof value === "string" ? value : undefined;
}

function allowedSeries(specifier: string, builder: BuilderVersion): string {
  const clauses = specifier.split(",").map((clause) => readClause(clause, specifier));
  const others = Object.keys(builder.pythons).filter((series) => series !== builder.defaultPython);
  const candidates = [builder.defaultPython, ...others.sort((a, b) => compare(release(b), release(a)))];
  const found = candidates.find((series) => {
    const full = release(builder.pythons[series] ?? series);
    return clauses.every((allows) => allows(full));
  });
  if (found !== undefined) return found;
  throw problem(
    `requires-python = ${JSON.stringify(specifier)} of pyproject.toml allows none of the pinned Pythons`,
    `There are ${Object.values(builder.pythons).join(", ")}; name a full version for another one.`,
  );
}

/** A clause of a version specifier (PEP 440), for released versions. */
function readClause(clause: string, specifier: string): (version: readonly number[]) => boolean {
  const [, operator = "", text = "", wildcard] =
    /^\s*(===|~=|==|!=|>=|<=|>|<)\s*v?(\d+(?:\.\d+)*)(\.\*)?\s*$/.exec(clause) ?? [];
  const wanted = release(text);
  const begins = (version: readonly number[], prefix: readonly number[]): boolean =>
    prefix.every((part, index) => (version[index] ?? 0) === part);
  const equals = (version: readonly number[]): boolean =>
    wildcard === undefined ? compare(version, wanted) === 0 : begins(version, wanted);
  if (wildcard === undefined || operator === "==" || operator === "!=") {
    switch (operator) {
      case "==":
      case "===":
        return equals;
      case "!=":
        return (version) => !equals(version);
      case ">=":
        return (version) => compare(version, wanted) >= 0;
      case "<=":
        return (version) => compare(version, wanted) <= 0;
      case ">":
        return (version) => compare(version, wanted) > 0;
      case "<":
        return (version) => compare(version, wanted) < 0;
      case "~=":
        if (wanted.length < 2) break;
        return (version) => compare(version, wanted) >= 0 && begins(version, wanted.slice(0, -1));
    }
  }
  throw problem(
    `requires-python = ${JSON.stringify(specifier)} of pyproject.toml cannot be read`,
    'Write it like ">=3.11" or ">=3.11,<3.14".',
  );
}

function release(version: string): readonly number[] {
  return version.split(".").map(Number);
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function problem(why: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", `pythonVersion "auto": ${why}`, { hint });
}

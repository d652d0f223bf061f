import { posix } from "node:path";
import { KilnError } from "../../errors.js";
import type { NeedsContext, StepNeeds } from "../define-step.js";
import type { FileMount } from "../lower-context.js";
import type { JavaScriptInstall } from "./install-options.js";
import { checkNpmrc } from "./npmrc.js";

/** How a package manager lays out a project. */
export interface ProjectLayout {
  /** Lock files, first that counts first. */
  readonly locks: readonly string[];
  /** Further files that count if they are there. */
  readonly others: readonly string[];
  /** Patterns of the workspace's directories, out of the files that were read; `[]` = there is none. */
  readonly members: (read: (file: string) => string | undefined) => readonly string[];
}

/** Where a `.npmrc` of this machine is for a command. */
export const npmrcPath = "/run/kiln/npmrc";

const npmrcKey = "npmrc";
const manifest = "package.json";

/** The files that a step of this kind reads; those of a workspace's members once its patterns are known. */
export function projectNeeds(
  { project, npmrc }: JavaScriptInstall,
  layout: ProjectLayout,
  context: NeedsContext,
): StepNeeds {
  const npmrcFile = npmrc === undefined ? {} : { [npmrcKey]: { path: npmrc } };
  const given = context.file(npmrcKey);
  if (npmrc !== undefined && given !== undefined) checkNpmrc(npmrc, decode(given));
  if (project === undefined) return { files: npmrcFile };
  const { path } = project;
  const optional = [...(project.frozen ? layout.locks : []), ...layout.others];
  const files = {
    ...npmrcFile,
    [manifest]: { path: posix.join(path, manifest) },
    ...Object.fromEntries(optional.map((name) => [name, { path: posix.join(path, name), optional: true }])),
  };
  if (context.file(manifest) === undefined) return { files };
  const patterns = membersOf(path, layout, (name) => context.file(name));
  if (patterns.length === 0) return { files };
  const listings = {
    members: { path, patterns: [...patterns.flatMap(manifestPattern), "!**/node_modules"] },
  };
  const members = (context.listing("members") ?? []).map((name) => [name, { path: posix.join(path, name) }]);
  return { files: { ...files, ...Object.fromEntries(members) }, listings };
}

/** The files of a project as a command sees them in its directory, and which lock file is among them. */
export function projectMounts(
  { project }: JavaScriptInstall,
  layout: ProjectLayout,
  {
    dir,
    file,
    listing,
  }: {
    readonly dir: string;
    readonly file: (key: string) => Uint8Array | undefined;
    readonly listing: (key: string) => readonly string[];
  },
): { readonly files: readonly FileMount[]; readonly lock: string | undefined } {
  if (project === undefined) return { files: [], lock: undefined };
  const lock = project.frozen ? layout.locks.find((name) => file(name) !== undefined) : undefined;
  const members = membersOf(project.path, layout, file).length === 0 ? [] : listing("members");
  const names = [manifest, ...(lock === undefined ? [] : [lock]), ...layout.others, ...members];
  const files = names.flatMap((name): readonly FileMount[] => {
    const content = file(name);
    return content === undefined ? [] : [{ target: posix.join(dir, name), content }];
  });
  return { files, lock };
}

/** The `.npmrc` of a step as its command sees it. */
export function npmrcMounts(
  { npmrc }: JavaScriptInstall,
  file: (key: string) => Uint8Array | undefined,
): readonly FileMount[] {
  return npmrc === undefined ? [] : [{ target: npmrcPath, content: file(npmrcKey) ?? "" }];
}

/** `workspaces` of a `package.json`: a list, or an object with a list. */
export function workspacesOf(packageJson: string): readonly string[] {
  const parsed: unknown = JSON.parse(packageJson);
  const workspaces = isRecord(parsed) ? parsed["workspaces"] : undefined;
  const list = isRecord(workspaces) ? workspaces["packages"] : workspaces;
  return Array.isArray(list) ? list.filter((item) => typeof item === "string") : [];
}

function membersOf(
  path: string,
  layout: ProjectLayout,
  file: (key: string) => Uint8Array | undefined,
): readonly string[] {
  try {
    return layout.members((name) => decode(file(name)));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new KilnError(
      "ERR_KILN_INVALID_ARGUMENT",
      `${posix.join(path, manifest)} is not JSON: ${error.message}`,
      {
        hint: "Correct the file.",
        cause: error,
      },
    );
  }
}

function manifestPattern(pattern: string): readonly string[] {
  const taken = pattern.startsWith("!") ? pattern.slice(1) : pattern;
  const dir = posix.normalize(taken).replace(/\/$/, "");
  if (dir.startsWith("..")) {
    throw new KilnError(
      "ERR_KILN_UNSUPPORTED",
      `the workspace has members outside its directory: ${pattern}`,
      {
        hint: "Name the directory above as the project, or copy the files and use runCommands.",
      },
    );
  }
  return [`${pattern.startsWith("!") ? "!" : ""}${dir}/${manifest}`];
}

function decode(content: Uint8Array): string;
function decode(content: Uint8Array | undefined): string | undefined;
function decode(content: Uint8Array | undefined): string | undefined {
  return content === undefined ? undefined : new TextDecoder().decode(content);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

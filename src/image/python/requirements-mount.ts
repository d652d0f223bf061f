import { posix } from "node:path";
import { KilnError } from "../../errors.js";
import type { NeedsContext, StepNeeds } from "../define-step.js";
import type { DirMount } from "../lower-context.js";
import { decodeRequirements, replaceIncludes, requirementIncludes } from "./requirements-file.js";

const target = "/run/kiln/requirements";

/** Requirements files for a command: mounted, with all that they include. */
export interface RequirementsMount {
  readonly dir: DirMount;
  /** Where the command finds each of the files that were asked for. */
  readonly paths: readonly string[];
}

/** The requirements files of a step, and those that the ones found so far include, each relative to its includer. */
export function requirementNeeds(files: readonly string[], context: Pick<NeedsContext, "file">): StepNeeds {
  const all = follow(files, (key) => context.file(key));
  return { files: Object.fromEntries([...all.keys()].map((path) => [keyOf(path), { path }])) };
}

/** The files of {@link requirementNeeds} as a directory whose files include one another. */
export function requirementsMount(
  files: readonly string[],
  context: { file(key: string): Uint8Array | undefined },
): RequirementsMount {
  const all = follow(files, (key) => context.file(key));
  const places = new Map([...all.keys()].map((path, index) => [path, `${index}/${safeName(path)}`]));
  const placeOf = (path: string): string => `${target}/${places.get(path) ?? ""}`;
  const content = [...all].map(([path, text = ""]) => {
    const moved = replaceIncludes(text, path, (include) => placeOf(beside(path, include.path)));
    return [places.get(path) ?? "", moved] as const;
  });
  return {
    dir: { target, files: new Map(content) },
    paths: files.map((path) => placeOf(posix.normalize(path))),
  };
}

/**
 * Paths of all files, in the order in which they are met, with the text of those that were read.
 *
 * Throws `ERR_KILN_FILE_INVALID` for one that includes itself by way of others: pip would not end.
 */
function follow(
  files: readonly string[],
  read: (key: string) => Uint8Array | undefined,
): ReadonlyMap<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  const includes = new Map<string, readonly string[]>();
  const queue = files.map((path) => posix.normalize(path));
  for (const path of queue) {
    if (found.has(path)) continue;
    const content = read(keyOf(path));
    const text = content === undefined ? undefined : decodeRequirements(content, path);
    found.set(path, text);
    const named = text === undefined ? [] : requirementIncludes(text, path);
    const next = named.map((include) => beside(path, include.path));
    includes.set(path, next);
    queue.push(...next);
  }
  refuseCycles(includes);
  return found;
}

function refuseCycles(includes: ReadonlyMap<string, readonly string[]>): void {
  const ended = new Set<string>();
  for (const start of includes.keys()) {
    const way: { readonly path: string; readonly next: Iterator<string> }[] = [];
    const enter = (path: string): void => {
      way.push({ path, next: (includes.get(path) ?? []).values() });
    };
    if (!ended.has(start)) enter(start);
    for (let top = way.at(-1); top !== undefined; top = way.at(-1)) {
      const { done, value } = top.next.next();
      if (done === true) {
        ended.add(top.path);
        way.pop();
      } else if (way.some(({ path }) => path === value)) {
        const names = [...way.map(({ path }) => path), value].join(" → ");
        throw new KilnError("ERR_KILN_FILE_INVALID", `requirements files include one another: ${names}`, {
          hint: "Take out one of these includes.",
        });
      } else if (!ended.has(value)) enter(value);
    }
  }
}

function keyOf(path: string): string {
  return `requirements.${path}`;
}

function beside(includer: string, path: string): string {
  return posix.isAbsolute(path) ? posix.normalize(path) : posix.join(posix.dirname(includer), path);
}

function safeName(path: string): string {
  return posix.basename(path).replaceAll(/[^\w.-]/g, "_");
}

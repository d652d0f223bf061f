import { argumentError, describe } from "../check-args.js";
import { type CheckedIgnore, checkIgnore } from "../check-ignore.js";
import type { StepNeeds, StepTree } from "../define-step.js";
import type { FilePatternMatcher } from "../file-pattern-matcher.js";
import { type CheckedStepOptions, checkEnv, checkStepOptions, type StepOptions } from "../step-options.js";

/** Options of steps that have a Dockerfile. */
export interface DockerfileStepOptions extends StepOptions {
  /** Directory that COPY and ADD read, as far as they need it. Default: the build's working directory. */
  readonly contextDir?: string | undefined;
  /** Values of `ARG`s. */
  readonly buildArgs?: Readonly<Record<string, string>> | undefined;
  /** What to leave out of `contextDir`, in place of what `.dockerignore` files say. */
  readonly ignore?: string | readonly string[] | FilePatternMatcher | undefined;
}

/** {@link DockerfileStepOptions} checked. */
export interface CheckedDockerfileOptions {
  readonly options: CheckedStepOptions;
  readonly contextDir: string;
  readonly buildArgs: Readonly<Record<string, string>>;
  /** `undefined` = by the `.dockerignore` files. */
  readonly ignored: CheckedIgnore | undefined;
}

/** Checks the options of a step that has a Dockerfile; `moreKeys` are for the step to check. */
export function checkDockerfileOptions(
  call: string,
  given: DockerfileStepOptions | undefined,
  moreKeys: readonly string[],
): CheckedDockerfileOptions {
  const options = checkStepOptions(call, given, ["contextDir", "buildArgs", "ignore", ...moreKeys]);
  const contextDir = given?.contextDir ?? ".";
  if (typeof contextDir !== "string" || contextDir === "" || contextDir.includes("\0")) {
    throw argumentError(call, `contextDir must be a directory of this machine, got ${describe(contextDir)}`, {
      hint: 'Write contextDir: "./app".',
    });
  }
  return {
    options,
    contextDir,
    buildArgs: Object.fromEntries(checkEnv(`${call}: buildArgs`, given?.buildArgs ?? {})),
    ignored: given?.ignore === undefined ? undefined : checkIgnore(call, given.ignore),
  };
}

/** What a step with a Dockerfile needs for its context; `ignoreFiles` in the order in which they are looked for. */
export function contextNeeds(
  { contextDir, ignored }: CheckedDockerfileOptions,
  ignoreFiles: readonly string[],
  more: Pick<StepTree, "files" | "unread"> = {},
): StepNeeds {
  const wanted =
    ignored === undefined ? ignoreFiles : [ignored.ignoreFile].filter((file) => file !== undefined);
  const keys = wanted.map((_path, index) => `ignore${index}`);
  return {
    dockerfile: true,
    trees: {
      context: {
        // COPY keeps the times that files have in the context.
        ...{ kind: "dir", path: contextDir, mode: "own", times: "keep", ...more },
        ...{ ignore: ignored?.ignore ?? [], ignoreFiles: keys },
      },
    },
    files: Object.fromEntries(
      wanted.map((path, index) => [keys[index], { path, optional: ignored === undefined }]),
    ),
  };
}

/** Whether a Dockerfile's lines copy local files: for renderings; not every way of writing it is seen. */
export function readsContext(lines: readonly string[]): boolean {
  return lines.some((line) => /^\s*(?:COPY|ADD)\s/i.test(line) && !/\s--from=/i.test(line));
}

/**
 * Whether a Dockerfile's lines may read the context. False is certain for these lines, whatever stages they have; what the
 * base has its users run (ONBUILD) is not among them.
 */
export function mayReadContext(text: string): boolean {
  const copies = /^[ \t]*(?:ONBUILD[ \t]+)?(?:COPY|ADD)[ \t]+(?!(?:--\S+[ \t]+)*--from=)/im;
  return copies.test(text) || bindsContext(text);
}

/** Whether a command of a Dockerfile mounts the context. */
function bindsContext(text: string): boolean {
  return [...text.matchAll(/--mount=(\S+)/g)].some(
    ([, mount = ""]) => !/(?:^|,)from=/.test(mount) && !/(?:^|,)type=(?!bind)/.test(mount),
  );
}

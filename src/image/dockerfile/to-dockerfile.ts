import { KilnError } from "../../errors.js";
import { checkOptions } from "../../internal/check-options.js";
import { type Platform, parsePlatform } from "../../oci/platform.js";
import { builderVersion } from "../builder-version.js";
import type { ChainState } from "../chain-state.js";
import { argumentError, describe } from "../check-args.js";
import type { AppliedStep, Chain, StepNeeds } from "../define-step.js";
import type { ReadFile } from "../to-modal-layers.js";
import { dockerfileContext } from "./dockerfile-context.js";
import { emptyChain, nameStage, type Rendering, recordedOf, stateOf, withUser } from "./recorded.js";
import { Stages } from "./stages.js";

/** Options of {@link toDockerfile}. */
export interface ToDockerfileOptions {
  /** For steps that depend on what is in a file: Dockerfiles, requirements, ignore files. */
  readonly readFile?: ReadFile | undefined;
  /** For steps that look for files: paths below a directory that match patterns with `.dockerignore` semantics, sorted. */
  readonly listFiles?: ((dir: string, patterns: readonly string[]) => readonly string[]) | undefined;
  /**
   * A frontend for the first line, e.g. `docker/dockerfile:1`, for daemons whose own is too old; one with `-labs` for
   * steps with a device. Default none: the daemon's own, from Docker 28 on.
   */
  readonly syntax?: string | undefined;
  /** The user that the base's config names, if it is not root: commands run as root and the user is set again at the end. */
  readonly baseUser?: string | undefined;
  /** Directory that `docker build` will be given; what absolute local paths are made relative to. */
  readonly contextDir?: string | undefined;
  /** What caches are named for. Default `linux/amd64`. */
  readonly platform?: string | undefined;
  /** Epoch of built-in steps. Default the newest. */
  readonly builderVersion?: string | undefined;
}

/** A line that BuildKit's parser takes at most, in bytes. */
const longestLine = 65_535;

/**
 * One Dockerfile that `docker build` accepts and that gives the same files and config, from the directory that the chain's
 * relative paths start at. For every chain whose steps use the context's helpers, third-party ones too.
 *
 * What has no form in it is left out: `name`, `forceBuild`, `timeoutMs`, and fixed times of copied files. A `.dockerignore`
 * of the build context holds for all copies, and a working directory is made. Secrets and layouts are arguments of
 * `docker build`, which a comment at the top shows.
 *
 * Throws `ERR_KILN_UNSUPPORTED` with the name of a step that no Dockerfile can hold, `ERR_KILN_READER_NEEDED` for one that
 * depends on a file where there is no `readFile`, and `ERR_KILN_FILE_NOT_FOUND`.
 */
export function toDockerfile(image: Chain, options: ToDockerfileOptions = {}): string {
  checkDockerfileOptions(options);
  const { baseUser, contextDir, syntax } = options;
  const stages = new Stages();
  stages.syntax = syntax;
  const done = new Map<Chain, ChainState>();
  const rendering: Rendering = {
    stages,
    recorded: new WeakMap(),
    platform: platformOf(options),
    builder: builderVersion(options.builderVersion),
    baseUser,
    contextDir,
    knowsDevices: syntax?.includes("labs") === true,
    file: (path, step) => readFile(path, options, step),
    listing({ path, patterns }, step) {
      if (options.listFiles !== undefined) return options.listFiles(path, patterns);
      throw readerNeeded(step, `which files there are in ${path}`, "listFiles: (dir, patterns) => […]");
    },
    chain(nested) {
      const known = done.get(nested);
      if (known !== undefined) return known;
      const { state, step } = render(nested, options, rendering);
      const recorded = recordedOf(state, step, rendering);
      const from = nameStage(recorded, stages);
      const named = stateOf({ ...withUser(recorded), from, lines: undefined }, state, rendering);
      done.set(nested, named);
      return named;
    },
  };
  const { state, step } = render(image, options, rendering);
  const text = stages.text(withUser(recordedOf(state, step, rendering)));
  const long = text.split("\n").find((line) => Buffer.byteLength(line) > longestLine);
  if (long === undefined) return text;
  throw new KilnError(
    "ERR_KILN_UNSUPPORTED",
    `a line of the Dockerfile would have more than ${longestLine} bytes: ${long.slice(0, 60)}…`,
    { hint: "Put the long command or value into a file." },
  );
}

function render(
  image: Chain,
  options: ToDockerfileOptions,
  rendering: Rendering,
): { readonly state: ChainState; readonly step: AppliedStep } {
  let state = stateOf(
    {
      ...{ from: "scratch", lines: undefined, user: undefined, configUser: undefined },
      ...{ shell: undefined, cmd: undefined },
    },
    emptyChain(),
    rendering,
  );
  let last: AppliedStep | undefined;
  for (const step of image.steps) {
    state = step.lower(state, dockerfileContext(step, needsOf(step, options, rendering), rendering));
    recordedOf(state, step, rendering);
    last = step;
  }
  if (last !== undefined) return { state, step: last };
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", "toDockerfile: the chain has no step", {
    hint: 'Start it with Image.fromRegistry("debian") or another of the static methods.',
  });
}

/** A step's needs, asked for until files and listings name nothing more. */
function needsOf(step: AppliedStep, options: ToDockerfileOptions, { builder }: Rendering): StepNeeds {
  const files = new Map<string, Uint8Array | undefined>();
  const listings = new Map<string, readonly string[]>();
  for (;;) {
    const wanted = new Set<string>();
    const needs = step.needs({
      builder,
      file(key) {
        wanted.add(key);
        return files.get(key);
      },
      listing(key) {
        wanted.add(key);
        return listings.get(key);
      },
    });
    let found = 0;
    for (const key of wanted) {
      const file = needs.files?.[key];
      if (file !== undefined && !files.has(key) && options.readFile !== undefined) {
        files.set(key, bytesOf(options.readFile(file.path)));
        found += 1;
      }
      const listing = needs.listings?.[key];
      if (listing !== undefined && !listings.has(key) && options.listFiles !== undefined) {
        listings.set(key, options.listFiles(listing.path, listing.patterns));
        found += 1;
      }
    }
    if (found === 0) return needs;
  }
}

function readFile(path: string, options: ToDockerfileOptions, step: AppliedStep): Uint8Array | undefined {
  if (options.readFile !== undefined) return bytesOf(options.readFile(path));
  throw readerNeeded(
    step,
    `what is in ${path}`,
    "readFile: (path) => existsSync(path) ? readFileSync(path) : undefined",
  );
}

function readerNeeded(step: AppliedStep, what: string, option: string): KilnError {
  return new KilnError("ERR_KILN_READER_NEEDED", `${step.title}: its Dockerfile depends on ${what}`, {
    hint: `Pass toDockerfile({ ${option} }).`,
    location: step.location,
  });
}

function bytesOf(content: string | Uint8Array | undefined): Uint8Array | undefined {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

function platformOf({ platform }: ToDockerfileOptions): Platform {
  return parsePlatform(platform ?? "linux/amd64");
}

function checkDockerfileOptions(options: ToDockerfileOptions): void {
  const call = "toDockerfile";
  const texts = ["syntax", "baseUser", "contextDir", "platform", "builderVersion"] as const;
  const functions = ["readFile", "listFiles"] as const;
  checkOptions(call, options, [...texts, ...functions]);
  for (const key of texts) {
    const value: unknown = options[key];
    if (value === undefined || (typeof value === "string" && value.trim() !== "" && !/[\n\0]/.test(value)))
      continue;
    throw argumentError(call, `${key} must be a text, got ${describe(value)}`);
  }
  for (const key of functions) {
    if (options[key] === undefined || typeof options[key] === "function") continue;
    throw argumentError(call, `${key} must be a function, got ${describe(options[key])}`);
  }
}

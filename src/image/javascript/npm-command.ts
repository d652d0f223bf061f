import { posix } from "node:path";
import { formatPlatform, type Platform } from "../../oci/platform.js";
import type { ChainState } from "../chain-state.js";
import type { CacheMount } from "../lower-context.js";
import { shellQuote } from "../shell-quote.js";
import type { JavaScriptInstall } from "./install-options.js";
import { npmrcPath } from "./project-files.js";

const npmCache = "/root/.npm";

/** Where npm keeps what it downloads, for all builds on a daemon. */
export function npmCacheMount(platform: Platform): CacheMount {
  return { target: npmCache, id: `kiln-npm-${formatPlatform(platform)}`, sharing: "shared" };
}

/** Settings by which npm, pnpm and node-gyp leave nothing behind outside the cache. */
export function npmEnvironment({ npmrc }: JavaScriptInstall): readonly (readonly [string, string])[] {
  return [
    ["NPM_CONFIG_CACHE", npmCache],
    ["NPM_CONFIG_DEVDIR", `${npmCache}/_node-gyp`],
    ["NPM_CONFIG_AUDIT", "false"],
    ["NPM_CONFIG_FUND", "false"],
    ["NPM_CONFIG_UPDATE_NOTIFIER", "false"],
    ["NODE_DISABLE_COMPILE_CACHE", "1"],
    ...(npmrc === undefined ? [] : [["NPM_CONFIG_USERCONFIG", npmrcPath] as const]),
  ];
}

/** The words of a command line, quoted, then the step's own options as they are, then the packages. */
export function commandLine(
  words: readonly string[],
  { registry, extraOptions, packages }: JavaScriptInstall,
): string {
  const named = registry === undefined ? words : [...words, `--registry=${registry}`];
  return [
    ...named.map(shellQuote),
    ...(extraOptions === undefined ? [] : [extraOptions]),
    ...(packages.length === 0 ? [] : ["--", ...packages.map(shellQuote)]),
  ].join(" ");
}

/** The directory of the image that a project is installed into. */
export function projectDirectory(chain: ChainState, { project }: JavaScriptInstall): string {
  return posix.resolve("/", chain.config.WorkingDir ?? "/", project?.workdir ?? ".");
}

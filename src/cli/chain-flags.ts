import type { Command } from "commander";
import type { BuildOptions } from "../engine/build.js";
import type { ConnectOptions } from "../engine/engine.js";
import { collect } from "./solve-flags.js";
import { wrongFlag } from "./spec-fields.js";

/** Flags about what a chain means and how much of it runs. */
export interface ChainFlags {
  readonly builderVersion?: string;
  readonly caBundle?: string;
  readonly mirror: readonly string[];
  readonly forceBuild?: boolean;
  readonly ignoreCache?: boolean;
}

/** Adds the flags of {@link ChainFlags} to a command. */
export function addChainFlags(command: Command): Command {
  return command
    .option("--force-build", "run every step though it is cached; later builds get what they make")
    .option("--ignore-cache", "run every step; later builds still get what was cached before")
    .option("--ca-bundle <file>", "PEM certificates that the steps' programs trust")
    .option(
      "--mirror <spec>",
      "REGISTRY=OTHER: takes bases from there, or from oci-layout:DIR; repeatable",
      collect,
      [],
    )
    .option("--builder-version <id>", "epoch of the built-in steps (default: the newest)");
}

/** The options that flags stand for, of the engine and of the build. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function chainOptions(flags: ChainFlags): {
  readonly connect: Pick<ConnectOptions, "mirrors">;
  readonly build: Pick<BuildOptions, "builderVersion" | "caBundle" | "forceBuild" | "ignoreCache">;
} {
  const { builderVersion, caBundle, forceBuild, ignoreCache } = flags;
  const mirrors = flags.mirror.map((text) => {
    const equals = text.indexOf("=");
    if (equals > 0 && equals < text.length - 1)
      return [text.slice(0, equals), text.slice(equals + 1)] as const;
    throw wrongFlag(
      "--mirror",
      `"${text}" is no REGISTRY=OTHER`,
      "E.g. --mirror docker.io=mirror.example/hub.",
    );
  });
  return {
    connect: { mirrors: Object.fromEntries(mirrors) },
    build: { builderVersion, caBundle, forceBuild, ignoreCache },
  };
}

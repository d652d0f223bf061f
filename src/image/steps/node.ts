import { KilnError } from "../../errors.js";
import { checkOptions } from "../../internal/check-options.js";
import { type BuilderVersion, isKnownNode } from "../builder-version.js";
import { argumentError, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { checkStepOptions, type StepOptions } from "../step-options.js";

/** Options of `Image.node`. */
export interface NodeOptions extends Pick<StepOptions, "name" | "forceBuild"> {
  /** A major version (`"22"`: the rest is the builder version's) or a full one (`"22.3.0"`). */
  readonly version?: string | undefined;
}

/** Input of the `node` step. */
export type NodeInput = string | NodeOptions | undefined;

/** Starts from Debian with Node and npm: the official slim image as it is. */
export const node: Step<NodeInput> = defineStep({
  id: "node",
  version: 1,
  validate(input: NodeInput) {
    const given = typeof input === "object" && input !== null ? input : undefined;
    checkOptions("node", given, ["name", "forceBuild", "version"]);
    const { name, forceBuild } = given ?? {};
    return {
      version: checkVersion(given === undefined ? input : given.version),
      options: checkStepOptions("node", { name, forceBuild }),
    };
  },
  title: ({ version }) => `node${version === undefined ? "" : ` ${version}`}`,
  options: ({ options }) => options,
  needs: ({ version, options }, { builder }) => ({
    bases: {
      base: {
        kind: "registry",
        ref: `docker.io/library/${baseImage(version, builder)}`,
        refresh: options.forceBuild,
      },
    },
  }),
  lower: (_chain, _args, context) => context.base("base"),
  traits: ({ version }, { builder }) => ({ baseRef: baseImage(version, builder), changes: "cheap" }),
  modal: ({ version }, { builder }) => [
    { commands: [`FROM ${baseImage(version, builder)}`], contextFiles: {} },
  ],
});

function baseImage(wanted: string | undefined, builder: BuilderVersion): string {
  const version = wanted ?? builder.defaultNode;
  const full = version.includes(".") ? version : builder.nodes[version];
  if (full !== undefined) return `node:${full}-${builder.debian}-slim`;
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `builder version ${builder.id} pins no Node ${version}`, {
    hint: `It has ${Object.keys(builder.nodes).join(", ")}; write a full version for another one.`,
  });
}

function checkVersion(version: unknown): string | undefined {
  if (version === undefined) return undefined;
  const example = 'Write a major version ("22") or a full one ("22.3.0").';
  if (typeof version === "number") {
    throw argumentError("node", `the Node version must be a string, got the number ${version}`, {
      hint: `Write "${version}" in quotes: the number 22.10 is 22.1.`,
    });
  }
  if (typeof version !== "string" || !/^\d{1,3}(?:\.\d{1,3}\.\d{1,3})?$/.test(version)) {
    throw argumentError("node", `no Node version: ${describe(version)}`, { hint: example });
  }
  if (version.includes(".") || isKnownNode(version)) return version;
  throw argumentError("node", `no pinned Node ${version}`, {
    hint: `Write a full version, e.g. "${version}.0.0", or start from Image.fromRegistry("node:${version}-slim").`,
  });
}

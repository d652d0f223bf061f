import { captureCallSite } from "../../internal/call-site.js";
import { checkOptions } from "../../internal/check-options.js";
import { formatReference, parseReference } from "../../oci/reference.js";
import { defineStep, type Step } from "../define-step.js";

/** Input of the `fromRegistry` step. */
export interface FromRegistryInput {
  readonly ref: string;
  readonly options: Readonly<Record<string, never>> | undefined;
}

/** Starts from an image that the daemon pulls; its config is carried on. */
export const fromRegistry: Step<FromRegistryInput> = defineStep({
  id: "fromRegistry",
  version: 1,
  validate({ ref, options }: FromRegistryInput) {
    checkOptions("fromRegistry", options, []);
    return { ref: formatReference(parseReference(ref, { location: captureCallSite() })), written: ref };
  },
  title: ({ written }) => `fromRegistry ${written}`,
  needs: ({ ref }) => ({ bases: { base: { kind: "registry", ref } } }),
  lower: (_chain, _args, context) => context.base("base"),
  traits: ({ written }) => ({ baseRef: written }),
  withBaseRef: (args, ref) => ({ ...args, ref: formatReference(parseReference(ref)), written: ref }),
  modal: ({ written }) => [{ commands: [`FROM ${written}`], contextFiles: {} }],
});

import { checkOptions } from "../../internal/check-options.js";
import { argumentError, checkLocalPath, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";

/** Options of `Image.fromOciLayout`. */
export interface FromOciLayoutOptions {
  /** Tag, image name or digest in the layout; default: its only image. */
  readonly ref?: string | undefined;
}

/** Input of the `fromOciLayout` step. */
export interface FromOciLayoutInput {
  readonly path: string;
  readonly options: FromOciLayoutOptions | undefined;
}

/** Starts from an image in an OCI layout on this machine; the daemon reads it through the session. */
export const fromOciLayout: Step<FromOciLayoutInput> = defineStep({
  id: "fromOciLayout",
  version: 1,
  validate({ path, options }: FromOciLayoutInput) {
    checkOptions("fromOciLayout", options, ["ref"]);
    const ref = options?.ref;
    if (ref !== undefined && (typeof ref !== "string" || ref === "")) {
      throw argumentError("fromOciLayout", `ref must be a tag or digest, got ${describe(ref)}`);
    }
    return { path: checkLocalPath("fromOciLayout", path), ref };
  },
  title: ({ path, ref }) => `fromOciLayout ${path}${ref === undefined ? "" : ` ${ref}`}`,
  needs: ({ path, ref }) => ({ bases: { base: { kind: "oci-layout", path, ref } } }),
  lower: (_chain, _args, context) => context.base("base"),
});

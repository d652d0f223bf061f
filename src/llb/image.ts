import { captureCallSite } from "../internal/call-site.js";
import { checkOptions } from "../internal/check-options.js";
import { formatReference, parseReference } from "../oci/reference.js";
import { capability } from "./capabilities.js";
import { checkChoice, checkDigest, checkInteger, checkName } from "./check-argument.js";
import { type ConstraintOptions, constraintKeys, resolveConstraints } from "./constraints.js";
import { draftSource, setAttr, sourceProps } from "./source-node.js";
import { State } from "./state.js";

/** Options of {@link image}. */
export interface ImageOptions extends ConstraintOptions {
  /** `pull` asks the registry again, `local` takes what the daemon has. Default: the daemon's own way. */
  readonly resolveMode?: "default" | "pull" | "local" | undefined;
  /** What the daemon's cache records the image as. */
  readonly recordType?: "internal" | "frontend" | "regular" | undefined;
  /** Only this many of the image's layers, from the bottom. */
  readonly layerLimit?: number | undefined;
  /** Digest that the image must have. Needs BuildKit 0.25. */
  readonly checksum?: string | undefined;
}

/**
 * An image of a registry. The reference is completed as Docker does it: `alpine` is
 * `docker.io/library/alpine:latest`.
 *
 * Throws `ERR_KILN_INVALID_REFERENCE`, `ERR_KILN_INVALID_DIGEST`, `ERR_KILN_INVALID_ARGUMENT` and
 * `ERR_KILN_UNKNOWN_OPTION`.
 */
export function image(ref: string, options: ImageOptions = {}): State {
  const call = "image()";
  const keys = ["resolveMode", "recordType", "layerLimit", "checksum", ...constraintKeys];
  checkOptions(call, options, keys);
  checkName(call, "ref", ref);
  const reference = formatReference(parseReference(ref, { location: captureCallSite() }));
  const draft = draftSource();
  draft.caps.add(capability.image);
  const { resolveMode, recordType, layerLimit, checksum } = options;
  if (resolveMode !== undefined) {
    const mode = checkChoice(call, "resolveMode", resolveMode, ["default", "pull", "local"]);
    // Only a forced pull is a promise that an old daemon must not break silently.
    if (mode === "pull") draft.caps.add(capability.imageResolveMode);
    if (mode !== "default") setAttr(draft, "image.resolvemode", mode);
  }
  if (recordType !== undefined) {
    const type = checkChoice(call, "recordType", recordType, ["internal", "frontend", "regular"]);
    setAttr(draft, "image.recordtype", type);
  }
  if (layerLimit !== undefined) {
    const limit = checkInteger(call, "layerLimit", layerLimit, 1, 0x7fffffff);
    setAttr(draft, "image.layerlimit", String(limit), capability.imageLayerLimit);
  }
  if (checksum !== undefined) {
    const digest = checkDigest(call, "checksum", checksum);
    setAttr(draft, "image.checksum", digest, capability.imageChecksum);
  }
  return new State(sourceProps(`docker-image://${reference}`, draft, resolveConstraints(call, options)));
}

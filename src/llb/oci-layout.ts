import { checkOptions } from "../internal/check-options.js";
import { capability } from "./capabilities.js";
import { checkInteger, checkName, checkText, wrongArgument } from "./check-argument.js";
import { type ConstraintOptions, constraintKeys, resolveConstraints } from "./constraints.js";
import { draftSource, setAttr, sourceProps } from "./source-node.js";
import { State } from "./state.js";

/** Options of {@link ociLayout}. */
export interface OciLayoutOptions extends ConstraintOptions {
  /** The session whose content store serves the layout. */
  readonly sessionId?: string | undefined;
  /** Name of the content store within the session. */
  readonly storeId?: string | undefined;
  /** Only this many of the image's layers, from the bottom. */
  readonly layerLimit?: number | undefined;
}

/**
 * An image in an OCI layout that a session serves. The reference must end in `@sha256:…` and is sent as it is.
 *
 * Throws `ERR_KILN_INVALID_REFERENCE`, `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function ociLayout(ref: string, options: OciLayoutOptions = {}): State {
  const call = "ociLayout()";
  checkOptions(call, options, ["sessionId", "storeId", "layerLimit", ...constraintKeys]);
  const reference = checkName(call, "ref", ref);
  if (!/.@[a-z0-9+._-]+:[0-9a-f]{32,}$/i.test(reference)) {
    throw wrongArgument(
      call,
      `ref has no digest: ${JSON.stringify(reference)}`,
      "Write it as name@sha256:…; the daemon does not resolve tags of a layout.",
      "ERR_KILN_INVALID_REFERENCE",
    );
  }
  const draft = draftSource();
  draft.caps.add(capability.ociLayout);
  const { sessionId, storeId, layerLimit } = options;
  if (sessionId !== undefined && checkText(call, "sessionId", sessionId) !== "") {
    setAttr(draft, "oci.session", sessionId);
  }
  if (storeId !== undefined && checkText(call, "storeId", storeId) !== "")
    setAttr(draft, "oci.store", storeId);
  if (layerLimit !== undefined) {
    setAttr(draft, "oci.layerlimit", String(checkInteger(call, "layerLimit", layerLimit, 1, 0x7fffffff)));
  }
  return new State(sourceProps(`oci-layout://${reference}`, draft, resolveConstraints(call, options)));
}

import { captureCallSite } from "../internal/call-site.js";
import { checkOptions } from "../internal/check-options.js";
import { formatReference, parseReference } from "../oci/reference.js";
import { capability } from "./capabilities.js";
import { checkInteger, checkName, checkText, wrongArgument } from "./check-argument.js";
import { type ConstraintOptions, constraintKeys, resolveConstraints } from "./constraints.js";
import { draftSource, type SourceDraft, setAttr, sourceProps } from "./source-node.js";
import { State } from "./state.js";

/** How a source that is a single file lies in its filesystem. */
export interface FileInfoOptions {
  /** Name of the file. Default: from the source. */
  readonly filename?: string | undefined;
  /** Permission bits; only the lowest nine count. */
  readonly chmod?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

/** The keys of {@link FileInfoOptions}. */
export const fileInfoKeys: readonly string[] = ["filename", "chmod", "uid", "gid"];

/** Options of {@link imageBlob}. */
export interface ImageBlobOptions extends FileInfoOptions, ConstraintOptions {}

/** Options of {@link ociLayoutBlob}. */
export interface OciLayoutBlobOptions extends ImageBlobOptions {
  /** The session whose content store serves the blob. */
  readonly sessionId?: string | undefined;
  /** Name of the content store within the session. */
  readonly storeId?: string | undefined;
}

/**
 * One blob of a registry as a file: `name@sha256:…`, without a tag. Needs BuildKit 0.28.
 *
 * Throws `ERR_KILN_INVALID_REFERENCE`, `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function imageBlob(ref: string, options: ImageBlobOptions = {}): State {
  const call = "imageBlob()";
  checkOptions(call, options, [...fileInfoKeys, ...constraintKeys]);
  const draft = draftBlob(call, options);
  const identifier = `docker-image+blob://${blobReference(call, ref)}`;
  return new State(sourceProps(identifier, draft, resolveConstraints(call, options)));
}

/**
 * One blob of a content store that a session serves, as a file: `name@sha256:…`, without a tag. Needs BuildKit 0.28.
 *
 * Throws `ERR_KILN_INVALID_REFERENCE`, `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function ociLayoutBlob(ref: string, options: OciLayoutBlobOptions = {}): State {
  const call = "ociLayoutBlob()";
  checkOptions(call, options, [...fileInfoKeys, "sessionId", "storeId", ...constraintKeys]);
  const draft = draftBlob(call, options);
  const { sessionId, storeId } = options;
  if (sessionId !== undefined && checkText(call, "sessionId", sessionId) !== "") {
    setAttr(draft, "oci.session", sessionId);
  }
  if (storeId !== undefined && checkText(call, "storeId", storeId) !== "")
    setAttr(draft, "oci.store", storeId);
  const identifier = `oci-layout+blob://${blobReference(call, ref)}`;
  return new State(sourceProps(identifier, draft, resolveConstraints(call, options)));
}

/** Reads the options of a single file into attributes, with the capabilities that http sources ask for them. */
export function setFileInfo(
  call: string,
  draft: SourceDraft,
  options: FileInfoOptions,
  caps: { readonly chmod?: string; readonly owner?: string } = {},
): void {
  const { filename, chmod, uid, gid } = options;
  if (filename !== undefined && checkText(call, "filename", filename) !== "") {
    setAttr(draft, "http.filename", filename);
  }
  if (chmod !== undefined) {
    const permissions = checkInteger(call, "chmod", chmod, 0, 0xffffffff) & 0o777;
    if (permissions !== 0) setAttr(draft, "http.perm", `0${permissions.toString(8)}`, caps.chmod);
  }
  for (const [key, value] of [["uid", uid] as const, ["gid", gid] as const]) {
    if (value === undefined || checkInteger(call, key, value, 0, 0xffffffff) === 0) continue;
    setAttr(draft, `http.${key}`, String(value), caps.owner);
  }
}

function draftBlob(call: string, options: FileInfoOptions): SourceDraft {
  const draft = draftSource();
  draft.caps.add(capability.imageBlob);
  setFileInfo(call, draft, options);
  return draft;
}

function blobReference(call: string, ref: string): string {
  const reference = parseReference(checkName(call, "ref", ref), { location: captureCallSite() });
  if (reference.digest === undefined || reference.tag !== undefined) {
    throw wrongArgument(
      call,
      `ref of a blob needs a digest and no tag: ${JSON.stringify(ref)}`,
      "Write it as name@sha256:….",
      "ERR_KILN_INVALID_REFERENCE",
    );
  }
  return formatReference(reference);
}

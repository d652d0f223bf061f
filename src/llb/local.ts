import { checkOptions } from "../internal/check-options.js";
import { capability } from "./capabilities.js";
import { checkChoice, checkFlag, checkName, checkText, checkTexts } from "./check-argument.js";
import { type ConstraintOptions, constraintKeys, resolveConstraints } from "./constraints.js";
import { goJsonStrings } from "./go-json.js";
import { draftSource, setAttr, sourceProps } from "./source-node.js";
import { State } from "./state.js";

/** Options of {@link local}. */
export interface LocalOptions extends ConstraintOptions {
  /** The session that sends the directory. With it the op is the same in every build of that session. */
  readonly sessionId?: string | undefined;
  /** Only what matches one of these; dockerignore syntax. */
  readonly includePatterns?: readonly string[] | undefined;
  /** Nothing that matches one of these; dockerignore syntax. */
  readonly excludePatterns?: readonly string[] | undefined;
  /** Only these paths and what symbolic links on the way to them point to. */
  readonly followPaths?: readonly string[] | undefined;
  /** Builds with the same hint reuse each other's uploads. */
  readonly sharedKeyHint?: string | undefined;
  /** How changed files are found: `metadata` by size, time and mode, `none` sends everything. */
  readonly differ?:
    | { readonly type: "none" | "metadata"; readonly required?: boolean | undefined }
    | undefined;
  /** Only metadata is sent, except of these paths. Needs BuildKit 0.21. */
  readonly metadataOnlyTransfer?: readonly string[] | undefined;
}

/**
 * A directory of the client's, sent by the session under `name` when the daemon asks for it.
 *
 * Without `sessionId` the op needs `localUniqueId` here or on `marshal`, which refuses otherwise.
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function local(name: string, options: LocalOptions = {}): State {
  const call = "local()";
  checkOptions(call, options, [
    ...["sessionId", "includePatterns", "excludePatterns", "followPaths", "sharedKeyHint", "differ"],
    ...["metadataOnlyTransfer", ...constraintKeys],
  ]);
  checkName(call, "name", name);
  const draft = draftSource();
  draft.caps.add(capability.local);
  const text = (key: "sessionId" | "sharedKeyHint", attr: string, cap: string): void => {
    const value = options[key];
    if (value !== undefined && checkText(call, key, value) !== "") setAttr(draft, attr, value, cap);
  };
  const list = (
    key: "includePatterns" | "excludePatterns" | "followPaths",
    attr: string,
    cap: string,
  ): void => {
    const value = options[key];
    if (value === undefined) return;
    const items = checkTexts(call, key, value);
    if (items.length > 0) setAttr(draft, attr, goJsonStrings(items), cap);
  };
  text("sessionId", "local.session", capability.localSessionId);
  list("includePatterns", "local.includepattern", capability.localIncludePatterns);
  list("followPaths", "local.followpaths", capability.localFollowPaths);
  list("excludePatterns", "local.excludepatterns", capability.localExcludePatterns);
  text("sharedKeyHint", "local.sharedkeyhint", capability.localSharedKeyHint);
  if (options.differ !== undefined) {
    checkOptions(`${call} differ`, options.differ, ["type", "required"]);
    const type = checkChoice(call, "differ.type", options.differ.type, ["none", "metadata"]);
    const required = checkFlag(call, "differ.required", options.differ.required);
    setAttr(draft, "local.differ", type, required ? capability.localDiffer : undefined);
  }
  if (options.metadataOnlyTransfer !== undefined) {
    const except = checkTexts(call, "metadataOnlyTransfer", options.metadataOnlyTransfer);
    setAttr(draft, "local.metadatatransfer", "true", capability.localMetadataTransfer);
    if (except.length > 0) setAttr(draft, "local.metadatatransferexclude", goJsonStrings(except));
  }
  return new State(sourceProps(`local://${name}`, draft, resolveConstraints(call, options)));
}

import { checkOptions } from "../internal/check-options.js";
import { capability } from "./capabilities.js";
import { checkChoice, checkFlag, checkName, checkText, checkTexts, wrongArgument } from "./check-argument.js";
import { type ConstraintOptions, constraintKeys, resolveConstraints } from "./constraints.js";
import { type GitUrl, parseGitUrl } from "./git-url.js";
import { joinPath } from "./go-path.js";
import { draftSource, type SourceDraft, setAttr, sourceProps } from "./source-node.js";
import { State } from "./state.js";

/** A signature that a commit or tag must have. Needs BuildKit 0.26. */
export interface GitSignature {
  /** Armored public keys. */
  readonly pubKey: string;
  readonly rejectExpired?: boolean | undefined;
  readonly requireSignedTag?: boolean | undefined;
  readonly ignoreSignedTag?: boolean | undefined;
}

/** A bundle that the commits are read from instead of the remote. Needs BuildKit 0.30. */
export interface GitBundle {
  /** `docker-image+blob://…@sha256:…` or `oci-layout+blob://…@sha256:…`. */
  readonly locator: string;
  /** Session and store that serve an `oci-layout+blob://` locator. */
  readonly sessionId?: string | undefined;
  readonly storeId?: string | undefined;
}

/** Options of {@link git}. */
export interface GitOptions extends ConstraintOptions {
  /** Branch, tag or commit; wins over the second argument. */
  readonly ref?: string | undefined;
  /** Directory within the repository; wins over the second argument. */
  readonly subDir?: string | undefined;
  readonly keepGitDir?: boolean | undefined;
  /** Name of the secret with a token. Default `GIT_AUTH_TOKEN`; `""` = none. */
  readonly authTokenSecret?: string | undefined;
  /** Name of the secret with an `Authorization` header. Default `GIT_AUTH_HEADER`; `""` = none. */
  readonly authHeaderSecret?: string | undefined;
  /** Lines of `known_hosts` for ssh remotes. Nothing is scanned for where it is left out. */
  readonly knownSshHosts?: string | readonly string[] | undefined;
  /** Id of the ssh agent for ssh remotes. Default `default`. */
  readonly mountSshSock?: string | undefined;
  /** Commit that the ref must be. Needs BuildKit 0.22. */
  readonly checksum?: string | undefined;
  /** Needs BuildKit 0.24. */
  readonly skipSubmodules?: boolean | undefined;
  /** Times of the files: of the checkout or of the commit. Needs BuildKit 0.29. */
  readonly mTime?: "checkout" | "commit" | undefined;
  /** Fetch `checksum` without asking the remote what the ref is. Needs BuildKit 0.30. */
  readonly fetchByCommit?: boolean | undefined;
  readonly bundle?: GitBundle | undefined;
  /** Make a single file, a bundle, instead of a work tree. Needs BuildKit 0.30. */
  readonly checkoutBundle?: boolean | undefined;
  readonly signature?: GitSignature | undefined;
}

const keys: readonly string[] = [
  ...["ref", "subDir", "keepGitDir", "authTokenSecret", "authHeaderSecret", "knownSshHosts", "mountSshSock"],
  ...["checksum", "skipSubmodules", "mTime", "fetchByCommit", "bundle", "checkoutBundle", "signature"],
  ...constraintKeys,
];

/**
 * A Git repository. `ref` is a branch, tag or commit, with `:directory` behind it for a part of the repository;
 * `""` is the remote's default branch.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function git(remote: string, ref = "", options: GitOptions = {}): State {
  const call = "git()";
  checkOptions(call, options, keys);
  const url = parseGitUrl(checkName(call, "remote", remote));
  if (typeof url === "string") {
    throw wrongArgument(
      call,
      `remote cannot be read: ${url}`,
      "Write it as https://host/path or user@host:path, and the ref as the second argument.",
    );
  }
  const colon = checkText(call, "ref", ref).indexOf(":");
  const ownRef = colon < 0 ? ref : ref.slice(0, colon);
  const ownDir = colon < 0 ? "" : joinPath("/", ref.slice(colon + 1)).slice(1);
  const wanted = options.ref === undefined ? ownRef : checkText(call, "ref", options.ref);
  const subDir = options.subDir === undefined ? ownDir : checkText(call, "subDir", options.subDir);
  const fragment = wanted === "" && subDir === "" ? "" : `#${wanted}${subDir === "" ? "" : `:${subDir}`}`;

  const draft = draftSource();
  draft.caps.add(capability.git);
  setAttr(draft, "git.fullurl", url.remote, capability.gitFullUrl);
  setFlag(call, draft, options, "keepGitDir", ["git.keepgitdir", capability.gitKeepDir]);
  setAuth(call, draft, options);
  if (url.scheme === "ssh") setSsh(call, draft, options);
  if (options.checksum !== undefined && checkText(call, "checksum", options.checksum) !== "") {
    setAttr(draft, "git.checksum", options.checksum, capability.gitChecksum);
  }
  setFlag(call, draft, options, "skipSubmodules", ["git.skipsubmodules", capability.gitSkipSubmodules]);
  if (options.mTime !== undefined) {
    const policy = checkChoice(call, "mTime", options.mTime, ["checkout", "commit"]);
    setAttr(draft, "git.mtime", policy, capability.gitMTime);
  }
  setFlag(call, draft, options, "fetchByCommit", ["git.fetchbycommit", capability.gitFetchByCommit]);
  if (options.bundle !== undefined) setBundle(call, draft, options.bundle);
  setFlag(call, draft, options, "checkoutBundle", ["git.checkoutbundle", capability.gitCheckoutBundle]);
  if (options.signature !== undefined) setSignature(call, draft, options.signature);
  return new State(sourceProps(identifierOf(url, fragment), draft, resolveConstraints(call, options)));
}

/** Host and path alone, so that https and ssh addresses of one repository share their cache. */
function identifierOf(url: GitUrl, fragment: string): string {
  return `git://${url.host}${joinPath("/", url.path)}${fragment}`;
}

function setFlag(
  call: string,
  draft: SourceDraft,
  options: GitOptions,
  key: "keepGitDir" | "skipSubmodules" | "fetchByCommit" | "checkoutBundle",
  [attr, cap]: readonly [string, string],
): void {
  if (checkFlag(call, key, options[key])) setAttr(draft, attr, "true", cap);
}

function setAuth(call: string, draft: SourceDraft, options: GitOptions): void {
  const { authTokenSecret, authHeaderSecret } = options;
  const secrets = [
    ["git.authtokensecret", "authTokenSecret", authTokenSecret, "GIT_AUTH_TOKEN"],
    ["git.authheadersecret", "authHeaderSecret", authHeaderSecret, "GIT_AUTH_HEADER"],
  ] as const;
  const chosen = authTokenSecret !== undefined || authHeaderSecret !== undefined;
  for (const [attr, key, value, standard] of secrets) {
    const secret = value === undefined ? standard : checkText(call, key, value);
    if (secret !== "") setAttr(draft, attr, secret, chosen ? capability.gitHttpAuth : undefined);
  }
}

function setSsh(call: string, draft: SourceDraft, options: GitOptions): void {
  const { knownSshHosts, mountSshSock } = options;
  const given = typeof knownSshHosts === "string" ? [knownSshHosts] : (knownSshHosts ?? []);
  const hosts = checkTexts(call, "knownSshHosts", given)
    .map((line) => `${line.replace(/\n$/, "")}\n`)
    .join("");
  if (hosts !== "") setAttr(draft, "git.knownsshhosts", hosts);
  draft.caps.add(capability.gitKnownSshHosts);
  const agent = mountSshSock === undefined ? "" : checkText(call, "mountSshSock", mountSshSock);
  setAttr(draft, "git.mountsshsock", agent === "" ? "default" : agent, capability.gitMountSshSock);
}

function setBundle(call: string, draft: SourceDraft, bundle: GitBundle): void {
  checkOptions(`${call} bundle`, bundle, ["locator", "sessionId", "storeId"]);
  const { locator, sessionId, storeId } = bundle;
  if (!/^(?:docker-image|oci-layout)\+blob:\/\/./.test(checkName(call, "bundle.locator", locator))) {
    throw wrongArgument(
      call,
      "bundle.locator has another scheme",
      "Begin it with docker-image+blob:// or oci-layout+blob://.",
    );
  }
  setAttr(draft, "git.bundle", locator, capability.gitBundle);
  if (sessionId !== undefined && checkText(call, "bundle.sessionId", sessionId) !== "") {
    setAttr(draft, "oci.session", sessionId);
  }
  if (storeId !== undefined && checkText(call, "bundle.storeId", storeId) !== "") {
    setAttr(draft, "oci.store", storeId);
  }
}

function setSignature(call: string, draft: SourceDraft, signature: GitSignature): void {
  checkOptions(`${call} signature`, signature, [
    "pubKey",
    "rejectExpired",
    "requireSignedTag",
    "ignoreSignedTag",
  ]);
  const pubKey = checkName(call, "signature.pubKey", signature.pubKey);
  setAttr(draft, "git.sig.pubkey", pubKey, capability.gitSignatureVerify);
  for (const key of ["rejectExpired", "requireSignedTag", "ignoreSignedTag"] as const) {
    if (checkFlag(call, `signature.${key}`, signature[key])) {
      setAttr(draft, `git.sig.${key.toLowerCase()}`, "true", capability.gitSignatureVerify);
    }
  }
}

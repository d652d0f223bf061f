import { checkOptions } from "../internal/check-options.js";
import { type FileInfoOptions, fileInfoKeys, setFileInfo } from "./blob.js";
import { capability } from "./capabilities.js";
import { checkDigest, checkName, checkText, wrongArgument } from "./check-argument.js";
import { type ConstraintOptions, constraintKeys, resolveConstraints } from "./constraints.js";
import { draftSource, setAttr, sourceProps } from "./source-node.js";
import { State } from "./state.js";

/** Request headers of {@link http}; the daemon sends no others. */
export interface HttpHeader {
  readonly accept?: string | undefined;
  readonly userAgent?: string | undefined;
}

/** A detached OpenPGP signature that a downloaded file must have. Needs BuildKit 0.28. */
export interface HttpSignature {
  /** Armored public keys. */
  readonly pubKey?: string | undefined;
  /** The armored signature. */
  readonly signature?: string | undefined;
}

/** Options of {@link http}. */
export interface HttpOptions extends FileInfoOptions, ConstraintOptions {
  /** Digest that the file must have. */
  readonly checksum?: string | undefined;
  /** Name of the secret that is sent as `Authorization`. Needs BuildKit 0.21. */
  readonly authHeaderSecret?: string | undefined;
  /** Needs BuildKit 0.21. */
  readonly header?: HttpHeader | undefined;
  readonly verifyPgpSignature?: HttpSignature | undefined;
}

/**
 * A file that the daemon downloads from an `http://` or `https://` address.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_INVALID_DIGEST` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function http(url: string, options: HttpOptions = {}): State {
  const call = "http()";
  const keys = ["checksum", "authHeaderSecret", "header", "verifyPgpSignature"];
  checkOptions(call, options, [...keys, ...fileInfoKeys, ...constraintKeys]);
  if (!/^https?:\/\/./i.test(checkName(call, "url", url))) {
    throw wrongArgument(
      call,
      "url must begin with http:// or https://",
      "Pass the full address of the file.",
    );
  }
  const draft = draftSource();
  draft.caps.add(capability.http);
  const { checksum, authHeaderSecret, header, verifyPgpSignature } = options;
  if (checksum !== undefined) {
    setAttr(draft, "http.checksum", checkDigest(call, "checksum", checksum), capability.httpChecksum);
  }
  setFileInfo(call, draft, options, { chmod: capability.httpPerm, owner: capability.httpUidGid });
  if (authHeaderSecret !== undefined && checkText(call, "authHeaderSecret", authHeaderSecret) !== "") {
    setAttr(draft, "http.authheadersecret", authHeaderSecret, capability.httpAuth);
  }
  if (header !== undefined) {
    checkOptions(`${call} header`, header, ["accept", "userAgent"]);
    draft.caps.add(capability.httpHeader);
    const { accept, userAgent } = header;
    if (accept !== undefined && checkText(call, "header.accept", accept) !== "") {
      setAttr(draft, "http.header.accept", accept);
    }
    if (userAgent !== undefined && checkText(call, "header.userAgent", userAgent) !== "") {
      setAttr(draft, "http.header.user-agent", userAgent);
    }
  }
  if (verifyPgpSignature !== undefined) {
    checkOptions(`${call} verifyPgpSignature`, verifyPgpSignature, ["pubKey", "signature"]);
    draft.caps.add(capability.httpSignatureVerify);
    const { pubKey, signature } = verifyPgpSignature;
    if (pubKey !== undefined && checkText(call, "verifyPgpSignature.pubKey", pubKey) !== "") {
      setAttr(draft, "http.sig.pubkey", pubKey);
    }
    if (signature !== undefined && checkText(call, "verifyPgpSignature.signature", signature) !== "") {
      setAttr(draft, "http.sig.signature", signature);
    }
  }
  return new State(sourceProps(url, draft, resolveConstraints(call, options)));
}

import { createHash } from "node:crypto";
import { KilnError } from "../errors.js";

/** A content digest. Only sha256 is used by registries and by BuildKit. */
export type Digest = `sha256:${string}`;

/** Whether a text is a well-formed sha256 digest: lower-case hex, full length. */
export function isDigest(text: string): text is Digest {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}

/** The text as a digest. Throws `ERR_KILN_INVALID_DIGEST`. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new KilnError("ERR_KILN_INVALID_DIGEST", `not a digest: ${JSON.stringify(text.slice(0, 100))}`, {
    hint: "A digest reads sha256: and 64 hexadecimal digits in lower case.",
  });
}

/** The 64 hexadecimal digits of a digest: the blob's file name in an OCI layout. */
export function digestHex(digest: Digest): string {
  return digest.slice("sha256:".length);
}

/** The digest of some bytes. */
export function sha256(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

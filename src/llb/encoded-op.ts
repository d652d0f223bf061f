import { hash } from "node:crypto";

/** An op as it is sent: its bytes and the digest of these bytes, which is its name. */
export interface EncodedOp {
  readonly digest: string;
  readonly bytes: Uint8Array;
}

/** Names the bytes of an op by their digest. */
export function nameOp(bytes: Uint8Array): EncodedOp {
  return { digest: `sha256:${hash("sha256", bytes)}`, bytes };
}

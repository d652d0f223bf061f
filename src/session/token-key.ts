import { createHmac, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";

// PKCS #8 of an Ed25519 key (RFC 8410) up to the seed that it ends with.
const privatePrefix = Buffer.from("302e020100300506032b657004220420", "hex");
const keyBytes = 32;

/**
 * The key with which a client proves to the daemon that it is one whose tokens it may use: the same secrets give the
 * same key, so that the daemon can share a token between builds.
 *
 * As BuildKit's client makes it: Ed25519 from HMAC-SHA-256 of the seed with the daemon's salt; of nothing where there
 * are no credentials.
 */
export function tokenKey(salt: Uint8Array, seed: Uint8Array | undefined): KeyObject {
  const mac = createHmac("sha256", salt)
    .update(seed ?? new Uint8Array())
    .digest();
  return createPrivateKey({ key: Buffer.concat([privatePrefix, mac]), format: "der", type: "pkcs8" });
}

/** The 32 bytes of the public key. */
export function publicKeyBytes(key: KeyObject): Uint8Array {
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-keyBytes);
}

/** A message with its signature in front, as NaCl's `crypto_sign` has it. */
export function signedMessage(key: KeyObject, message: Uint8Array): Uint8Array {
  return Buffer.concat([sign(null, message, key), message]);
}

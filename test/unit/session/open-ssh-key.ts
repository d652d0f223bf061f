import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { sshNumber, sshString, sshUint32 } from "../../../src/session/ssh-wire.js";

/** Parts of a file in OpenSSH's format; each may be replaced by a wrong one. */
export interface OpenSshParts {
  readonly magic: string;
  readonly cipher: string;
  readonly derivation: string;
  readonly count: number;
  readonly publicBlob: Buffer;
  readonly checks: readonly [number, number];
  /** Kind and numbers of the key. */
  readonly fields: Buffer;
  readonly padding: Buffer;
  readonly behind: Buffer;
}

/** Writes a file in OpenSSH's format. */
export function openSshFile(parts: OpenSshParts): string {
  const { magic, cipher, derivation, count, publicBlob, checks, fields, padding, behind } = parts;
  const section = [...checks.map(sshUint32), fields, sshString("me@here"), padding];
  const body = Buffer.concat([
    ...[Buffer.from(magic), sshString(cipher), sshString(derivation), sshString("")],
    ...[sshUint32(count), sshString(publicBlob), sshString(Buffer.concat(section)), behind],
  ]);
  const lines = body.toString("base64").match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join(
    "\n",
  );
}

/** A new Ed25519 key, with the parts of its file. */
export function newEd25519(): { readonly key: KeyObject; readonly parts: OpenSshParts } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const { x = "", d = "" } = privateKey.export({ format: "jwk" });
  const [point, seed] = [Buffer.from(x, "base64url"), Buffer.from(d, "base64url")];
  const name = sshString("ssh-ed25519");
  return {
    key: privateKey,
    parts: {
      ...{ magic: "openssh-key-v1\0", cipher: "none", derivation: "none", count: 1, checks: [7, 7] },
      publicBlob: Buffer.concat([name, sshString(point)]),
      fields: Buffer.concat([name, sshString(point), sshString(Buffer.concat([seed, point]))]),
      padding: Buffer.from([1, 2, 3]),
      behind: Buffer.alloc(0),
    },
  };
}

/** A new RSA key, with the parts of its file. */
export function newRsa(bits: number): { readonly key: KeyObject; readonly parts: OpenSshParts } {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  const jwk = privateKey.export({ format: "jwk" });
  const number = (name: "n" | "e" | "d" | "p" | "q" | "qi"): Buffer =>
    sshNumber(Buffer.from(jwk[name] ?? "", "base64url"));
  const name = sshString("ssh-rsa");
  return {
    key: privateKey,
    parts: {
      ...newEd25519().parts,
      publicBlob: Buffer.concat([name, number("e"), number("n")]),
      fields: Buffer.concat([
        ...[name, number("n"), number("e"), number("d")],
        ...[number("qi"), number("p"), number("q")],
      ]),
    },
  };
}

import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign } from "node:crypto";
import { SshReader, sshNumber, sshString } from "./ssh-wire.js";

/** A private key that can sign for an ssh agent. */
export interface SshPrivateKey {
  /** The public half, as the protocol has it. */
  readonly publicBlob: Buffer;
  /** Signs as an agent does; `undefined` for flags that are not known. Throws what `node:crypto` throws. */
  readonly sign: (data: Uint8Array, flags: number) => Buffer | undefined;
}

/** Why a text gives no key; its message never quotes the text. */
export class SshKeyProblem extends Error {
  /** What to do about it, if it is not the file that is wrong. */
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

const encrypted = (): SshKeyProblem =>
  new SshKeyProblem(
    "it is encrypted with a passphrase",
    'Add it to an ssh agent and pass that instead: ssh-add FILE, then { agent: true }. Or remove the passphrase of a copy: ssh-keygen -p -N "".',
  );

// Node would take the time for larger ones, and OpenSSH refuses them.
const rsaBits = { least: 1024, most: 16_384 } as const;

interface Curve {
  readonly name: string;
  readonly hash: string;
  readonly bytes: number;
}

/** By the JSON Web Key's name. */
const curves: Readonly<Record<string, Curve>> = {
  "P-256": { name: "nistp256", hash: "sha256", bytes: 32 },
  "P-384": { name: "nistp384", hash: "sha384", bytes: 48 },
  "P-521": { name: "nistp521", hash: "sha512", bytes: 66 },
};

/** Flags of a request to sign (draft-miller-ssh-agent, section 5.3). */
const rsaFlags = { sha256: 2, sha512: 4 } as const;

/**
 * Reads a private key: OpenSSH's own format, PKCS #8, and OpenSSL's formats for RSA and EC keys.
 *
 * Takes Ed25519, ECDSA over NIST's curves and RSA keys of 1,024 to 16,384 bits, one a file, without a passphrase. Throws
 * {@link SshKeyProblem} for everything else, e.g. for a public half that is not that of the private one.
 */
export function parseSshPrivateKey(text: string): SshPrivateKey {
  const label = /^-----BEGIN ([A-Z0-9 ]{1,40})-----\s*$/m.exec(text)?.[1];
  if (label === undefined) {
    const isPublic = /^(?:ssh-|ecdsa-|sk-)[\w@.-]+ AAAA/.test(text.trimStart());
    throw isPublic
      ? new SshKeyProblem("it is a public key", "Name the private key: the file without .pub.")
      : new SshKeyProblem("it is no private key in a text form");
  }
  if (label === "OPENSSH PRIVATE KEY") return parseOpenSsh(text);
  if (label === "ENCRYPTED PRIVATE KEY" || /^Proc-Type:.*ENCRYPTED/m.test(text)) throw encrypted();
  if (!label.endsWith("PRIVATE KEY")) throw new SshKeyProblem(`it is no private key but a ${label}`);
  try {
    return signerOf(createPrivateKey(text));
  } catch (error) {
    if (error instanceof SshKeyProblem) throw error;
    throw new SshKeyProblem("it is damaged, or of a kind that is not known");
  }
}

const magic = "openssh-key-v1\0";

/** OpenSSH's format: `PROTOCOL.key` in its sources. */
function parseOpenSsh(text: string): SshPrivateKey {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END OPENSSH PRIVATE KEY-----/.exec(
    text,
  );
  if (body === null) throw new SshKeyProblem("it is cut off or damaged");
  try {
    return readOpenSsh(new SshReader(Buffer.from(body[1] ?? "", "base64")));
  } catch (error) {
    if (error instanceof SshKeyProblem) throw error;
    throw new SshKeyProblem("it is cut off or damaged");
  }
}

function readOpenSsh(file: SshReader): SshPrivateKey {
  if (file.take(magic.length).toString("latin1") !== magic)
    throw new SshKeyProblem("it is cut off or damaged");
  const [cipher, derivation] = [file.text(), file.text()];
  if (cipher !== "none" || derivation !== "none") throw encrypted();
  file.string();
  const count = file.uint32();
  if (count !== 1) throw new SshKeyProblem(`it holds ${count} keys, not one`);
  const publicBlob = file.string();
  const section = new SshReader(file.string());
  // The same number twice: what a wrong passphrase would not give.
  const [check, again] = [section.uint32(), section.uint32()];
  if (check !== again) throw new SshKeyProblem("it is damaged");
  const key = signerOf(createPrivateKey({ key: readKey(section), format: "jwk" }));
  // The comment.
  section.string();
  const padding = section.take(section.left);
  if (file.left > 0 || padding.some((byte, index) => byte !== index + 1))
    throw new SshKeyProblem("it is damaged");
  if (!key.publicBlob.equals(publicBlob)) {
    throw new SshKeyProblem("its public half does not belong to its private one");
  }
  return key;
}

function readKey(section: SshReader): JsonWebKey {
  const type = section.text();
  if (type === "ssh-ed25519") {
    const [x, both] = [section.string(), section.string()];
    if (x.length !== 32 || both.length !== 64 || !both.subarray(32).equals(x)) {
      throw new SshKeyProblem("its public half does not belong to its private one");
    }
    return { kty: "OKP", crv: "Ed25519", x: base64url(x), d: base64url(both.subarray(0, 32)) };
  }
  if (type === "ssh-rsa") {
    const [n, e, d] = [section.positive(), section.positive(), section.positive()];
    const [qi, p, q] = [section.positive(), section.positive(), section.positive()];
    return rsaKey({ n, e, d, qi, p, q });
  }
  const curve = Object.entries(curves).find(([, { name }]) => type === `ecdsa-sha2-${name}`);
  if (curve === undefined) {
    throw new SshKeyProblem(
      `its kind ${JSON.stringify(type.slice(0, 60))} cannot be used from a file`,
      "Use an Ed25519, ECDSA or RSA key, or an ssh agent: { agent: true }.",
    );
  }
  const [crv, { name, bytes }] = curve;
  const [stated, point, d] = [section.text(), section.string(), section.positive()];
  // A point that is not compressed: 4, x, y.
  if (stated !== name || point[0] !== 4 || point.length !== 1 + 2 * bytes || d.length > bytes) {
    throw new SshKeyProblem("it is damaged");
  }
  const padded = Buffer.concat([Buffer.alloc(bytes - d.length), d]);
  const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
  return { kty: "EC", crv, x: base64url(x), y: base64url(y), d: base64url(padded) };
}

type RsaNumbers = Readonly<Record<"n" | "e" | "d" | "p" | "q" | "qi", Buffer>>;

function rsaKey({ n, e, d, p, q, qi }: RsaNumbers): JsonWebKey {
  checkRsaBits(n);
  if ([d, p, q, qi].some((number) => number.length > n.length) || e.length > 8) {
    throw new SshKeyProblem("it is damaged");
  }
  const [N, E, D] = [numberOf(n), numberOf(e), numberOf(d)];
  const [P, Q, QI] = [numberOf(p), numberOf(q), numberOf(qi)];
  const belong =
    P > 2n &&
    Q > 2n &&
    P * Q === N &&
    (E * D) % (P - 1n) === 1n &&
    (E * D) % (Q - 1n) === 1n &&
    (QI * Q) % P === 1n;
  if (!belong) throw new SshKeyProblem("its numbers do not belong together");
  return {
    ...{ kty: "RSA", n: base64url(n), e: base64url(e), d: base64url(d), p: base64url(p), q: base64url(q) },
    // The file leaves out what follows from the rest.
    ...{ dp: base64url(bytesOf(D % (P - 1n))), dq: base64url(bytesOf(D % (Q - 1n))), qi: base64url(qi) },
  };
}

function signerOf(key: KeyObject): SshPrivateKey {
  const jwk = createPublicKey(key).export({ format: "jwk" });
  const field = (name: "n" | "e" | "x" | "y"): Buffer => Buffer.from(jwk[name] ?? "", "base64url");
  const type = key.asymmetricKeyType;
  if (type === "ed25519") {
    const name = "ssh-ed25519";
    return {
      publicBlob: Buffer.concat([sshString(name), sshString(field("x"))]),
      sign: (data) => Buffer.concat([sshString(name), sshString(sign(null, data, key))]),
    };
  }
  if (type === "rsa") {
    checkRsaBits(field("n"));
    return {
      publicBlob: Buffer.concat([sshString("ssh-rsa"), sshNumber(field("e")), sshNumber(field("n"))]),
      sign: (data, flags) => signRsa(key, data, flags),
    };
  }
  const curve = type === "ec" ? curves[jwk.crv ?? ""] : undefined;
  if (curve === undefined) {
    throw new SshKeyProblem(
      `it is a key of the kind ${type === "ec" ? jwk.crv : type}, which ssh does not use`,
      "Use an Ed25519, ECDSA (P-256, P-384, P-521) or RSA key.",
    );
  }
  const { name, hash, bytes } = curve;
  const point = Buffer.concat([Buffer.from([4]), field("x"), field("y")]);
  const algorithm = `ecdsa-sha2-${name}`;
  return {
    publicBlob: Buffer.concat([sshString(algorithm), sshString(name), sshString(point)]),
    sign(data) {
      const both = sign(hash, data, { key, dsaEncoding: "ieee-p1363" });
      const numbers = [sshNumber(both.subarray(0, bytes)), sshNumber(both.subarray(bytes))];
      return Buffer.concat([sshString(algorithm), sshString(Buffer.concat(numbers))]);
    },
  };
}

function signRsa(key: KeyObject, data: Uint8Array, flags: number): Buffer | undefined {
  if ((flags & ~(rsaFlags.sha256 | rsaFlags.sha512)) !== 0) return undefined;
  // As OpenSSH's agent where both are set; neither means the first version of the protocol.
  const [name, hash] =
    (flags & rsaFlags.sha256) !== 0
      ? ["rsa-sha2-256", "sha256"]
      : (flags & rsaFlags.sha512) !== 0
        ? ["rsa-sha2-512", "sha512"]
        : ["ssh-rsa", "sha1"];
  return Buffer.concat([sshString(name), sshString(sign(hash, data, key))]);
}

function checkRsaBits(modulus: Buffer): void {
  const bits = numberOf(modulus).toString(2).length;
  if (bits >= rsaBits.least && bits <= rsaBits.most) return;
  throw new SshKeyProblem(
    `it is an RSA key of ${bits} bits`,
    `RSA keys need ${rsaBits.least} to ${rsaBits.most} bits: make another with ssh-keygen.`,
  );
}

function base64url(bytes: Buffer): string {
  return bytes.toString("base64url");
}

function numberOf(bytes: Buffer): bigint {
  return BigInt(`0x0${bytes.toString("hex")}`);
}

function bytesOf(number: bigint): Buffer {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
}

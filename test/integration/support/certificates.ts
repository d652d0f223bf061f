import { spawnSync } from "node:child_process";
import { join } from "node:path";

/** PEM files of a certificate and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Makes a certificate that signs itself, for two days. Certificates that it signs are trusted by who trusts it. */
export function makeAuthority(dir: string, name: string): CertificateFiles {
  return make(dir, name, ["-addext", "basicConstraints=critical,CA:TRUE"]);
}

/** Makes the certificate of a server at an IP address, signed by an authority. */
export function makeServerCertificate(
  dir: string,
  name: string,
  options: { readonly authority: CertificateFiles; readonly address: string },
): CertificateFiles {
  const { authority, address } = options;
  return make(dir, name, [
    ...["-CA", authority.cert, "-CAkey", authority.key],
    ...["-addext", `subjectAltName=IP:${address}`, "-addext", "basicConstraints=critical,CA:FALSE"],
  ]);
}

function make(dir: string, name: string, more: readonly string[]): CertificateFiles {
  const files = { cert: join(dir, `${name}.pem`), key: join(dir, `${name}.key`) };
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=kiln-${name}`],
    ...["-keyout", files.key, "-out", files.cert, ...more],
  ]);
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${String(made.stderr)}`);
  return files;
}

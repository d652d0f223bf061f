import type { ConstraintOptions } from "../llb/constraints.js";
import type { RunMount, RunSecret } from "../llb/exec-options.js";
import { mkfile } from "../llb/file-action.js";
import { scratch } from "../llb/state.js";

/** Where a command finds the certificates that it trusts. */
export const caBundlePath = "/run/kiln/ca.pem";

/**
 * The variables by which programs are told of certificates: OpenSSL (curl, wget, Python, Ruby, uv), pip, requests, Node,
 * curl, git, Cargo, the AWS tools.
 */
export const caVariables: readonly string[] = [
  "SSL_CERT_FILE",
  "PIP_CERT",
  "REQUESTS_CA_BUNDLE",
  "NODE_EXTRA_CA_CERTS",
  "CURL_CA_BUNDLE",
  "GIT_SSL_CAINFO",
  "CARGO_HTTP_CAINFO",
  "AWS_CA_BUNDLE",
];

/** apt has no variable for certificates, but one for a file of settings that is read before all others. */
export const caAptSettings = {
  variable: "APT_CONFIG",
  path: "/run/kiln/apt-ca.conf",
  content: `Acquire::https::CAInfo "${caBundlePath}";\n`,
} as const;

/** What gives a command certificates: `secretId` names them in the session; `undefined` = nothing. */
export function caMounts(
  secretId: string | undefined,
  constraints: ConstraintOptions,
): {
  readonly env: readonly (readonly [string, string])[];
  readonly secrets: readonly RunSecret[];
  readonly mounts: readonly RunMount[];
} {
  if (secretId === undefined) return { env: [], secrets: [], mounts: [] };
  const { variable, path, content } = caAptSettings;
  const source = scratch().file(mkfile("/file", content, { mode: 0o644, createdTime: 0n }), constraints);
  return {
    env: [...caVariables.map((name) => [name, caBundlePath] as const), [variable, path]],
    // Readable by all: apt fetches as a user of its own.
    secrets: [{ id: secretId, target: caBundlePath, mode: 0o444 }],
    mounts: [{ target: path, source, sourcePath: "/file", readonly: true }],
  };
}

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
const variables = [
  "SSL_CERT_FILE",
  "PIP_CERT",
  "REQUESTS_CA_BUNDLE",
  "NODE_EXTRA_CA_CERTS",
  "CURL_CA_BUNDLE",
  "GIT_SSL_CAINFO",
  "CARGO_HTTP_CAINFO",
  "AWS_CA_BUNDLE",
] as const;

// apt has no variable for it, but one for a file of settings that is read before all others.
const aptSettings = "/run/kiln/apt-ca.conf";

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
  const settings = `Acquire::https::CAInfo "${caBundlePath}";\n`;
  const source = scratch().file(mkfile("/file", settings, { mode: 0o644, createdTime: 0n }), constraints);
  return {
    env: [...variables.map((name) => [name, caBundlePath] as const), ["APT_CONFIG", aptSettings]],
    // Readable by all: apt fetches as a user of its own.
    secrets: [{ id: secretId, target: caBundlePath, mode: 0o444 }],
    mounts: [{ target: aptSettings, source, sourcePath: "/file", readonly: true }],
  };
}

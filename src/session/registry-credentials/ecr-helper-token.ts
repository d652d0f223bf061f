import { KilnError } from "../../errors.js";
import type { Credentials } from "../credentials.js";
import { runCredentialHelper } from "../run-credential-helper.js";
import type { AwsAccess } from "./aws-access.js";
import { credentialsProblem, type SecretValues, type WantedFor } from "./credentials-problem.js";
import type { Expiring } from "./expiring-cache.js";

/** The helper does not say how long a password is good for: AWS says 12 hours, keys of a session may end before. */
const keepMs = 5 * 60_000;

/** What in the environment says who asks AWS, and the two ways in which the helper keeps passwords in files. */
const whoAsks =
  /^AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|PROFILE|DEFAULT_PROFILE|REGION|DEFAULT_REGION|ROLE_|WEB_IDENTITY_TOKEN|CONTAINER_|ECR_CACHE_DIR|ECR_DISABLE_CACHE)/;

/** Whether Amazon's helper can use that access: it takes keys, or a role by a token in a file. */
export function helperTakes(access: AwsAccess): boolean {
  return access.kind === "keys" || (access.kind === "web-identity" && "file" in access.token);
}

/**
 * A password for ECR by Amazon's `docker-credential-ecr-login`, which gets the secret's access in its environment in place
 * of this machine's and is told to keep nothing in files. `undefined` if it is not installed.
 *
 * Rejects with `ERR_KILN_UNAUTHORIZED` when it fails.
 */
export async function ecrTokenByHelper(
  wanted: WantedFor,
  options: {
    readonly region: string;
    readonly access: AwsAccess;
    readonly values: SecretValues;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): Promise<Expiring<Credentials> | undefined> {
  const { region, access, values } = options;
  const kept = Object.entries(options.env).filter(([key]) => !whoAsks.test(key));
  const env = {
    ...Object.fromEntries(kept),
    ...accessVariables(access),
    AWS_REGION: values["AWS_REGION"] || region,
    AWS_ECR_DISABLE_CACHE: "true",
  };
  let why = "docker-credential-ecr-login found none";
  try {
    const found = await runCredentialHelper("ecr-login", wanted.host, { env });
    if (found === "not installed") return undefined;
    if (found !== undefined) return { value: found, expiresAt: Date.now() + keepMs };
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    why = error.message.replace("registry credentials: ", "");
  }
  throw credentialsProblem(
    wanted,
    why,
    "Check the keys or the role in the secret; the helper's own log is in ~/.ecr/log.",
  );
}

function accessVariables(access: AwsAccess): Readonly<Record<string, string>> {
  if (access.kind === "web-identity") {
    return {
      AWS_ROLE_ARN: access.role.arn,
      AWS_ROLE_SESSION_NAME: access.role.sessionName,
      ...("file" in access.token ? { AWS_WEB_IDENTITY_TOKEN_FILE: access.token.file } : {}),
    };
  }
  const { accessKeyId, secretAccessKey, sessionToken } = access.keys;
  return {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
  };
}

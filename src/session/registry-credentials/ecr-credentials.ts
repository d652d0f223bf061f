import { createHash } from "node:crypto";
import { KilnError } from "../../errors.js";
import type { Credentials } from "../credentials.js";
import { type AwsAccess, awsAccess } from "./aws-access.js";
import { endpointsIn, importPackage, type PackageLoader } from "./aws-sdk.js";
import { credentialsProblem, type SecretValues, type WantedFor } from "./credentials-problem.js";
import { ecrTokenByHelper, helperTakes } from "./ecr-helper-token.js";
import { parseEcrHost } from "./ecr-host.js";
import { ecrTokenBySdk } from "./ecr-sdk-token.js";
import { type Expiring, ExpiringCache } from "./expiring-cache.js";

/** Options of {@link ecrCredentials}. */
export interface EcrCredentialsOptions {
  /** The environment: `PATH`, `AWS_ENDPOINT_URL…`, `AWS_WEB_IDENTITY_TOKEN_FILE`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
  /** Loads AWS's optional packages; default `import` from where Kiln is installed. */
  readonly loadSdk?: PackageLoader | undefined;
  /** Passwords that are still good; default those of this process. */
  readonly cache?: ExpiringCache<Credentials> | undefined;
}

const ownCache = new ExpiringCache<Credentials>();

/**
 * Credentials for a private registry in Amazon's ECR from a secret with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or
 * with `AWS_ROLE_ARN` (see `awsAccess`). `AWS_REGION` is where roles are taken on; default the registry's own.
 *
 * Asked by `@aws-sdk/client-ecr` (for roles with `@aws-sdk/credential-providers`) where that is installed, else by
 * `docker-credential-ecr-login`; kept in memory until 5 minutes before they expire.
 *
 * Rejects with `ERR_KILN_INVALID_ARGUMENT` for a host that is no such registry, `ERR_KILN_SECRET_NOT_FOUND` for a secret
 * without access, `ERR_KILN_UNAUTHORIZED` for what AWS refuses and where neither way is there, or the signal's reason.
 */
export async function ecrCredentials(
  wanted: WantedFor,
  values: SecretValues,
  options: EcrCredentialsOptions,
): Promise<Credentials> {
  const { env, signal, loadSdk: load = importPackage, cache = ownCache } = options;
  const { host, location } = wanted;
  const ecr = parseEcrHost(host);
  if (ecr === undefined) {
    throw new KilnError(
      "ERR_KILN_INVALID_ARGUMENT",
      `${host} is no private registry of Amazon's ECR`,
      host === "public.ecr.aws"
        ? { hint: "Anybody may pull from it: leave the credentials out.", location }
        : { hint: "Those are ACCOUNT.dkr.ecr.REGION.amazonaws.com and the like.", location },
    );
  }
  const access = awsAccess(wanted, values, env);
  const make = async (): Promise<Expiring<Credentials>> => {
    const made = await ecrTokenBySdk(wanted, { ecr, access, values, env, load });
    if (!("missing" in made)) return made;
    const { region } = ecr;
    const byHelper = helperTakes(access)
      ? await ecrTokenByHelper(wanted, { region, access, values, env })
      : undefined;
    if (byHelper !== undefined) return byHelper;
    throw noWay(wanted, access, made.missing);
  };
  return cache.get(cacheKey([host, access, values["AWS_REGION"], endpointsIn(env)]), make, { signal });
}

function noWay(wanted: WantedFor, access: AwsAccess, missing: readonly string[]): KilnError {
  const install = `Install AWS's SDK (npm install ${missing.join(" ")})`;
  return helperTakes(access)
    ? credentialsProblem(
        wanted,
        `neither ${missing.join(" and ")} nor docker-credential-ecr-login is installed`,
        `${install}, or put Amazon's ECR credential helper on the PATH.`,
      )
    : credentialsProblem(
        wanted,
        `${missing.join(" and ")} is not installed`,
        `${install}; docker-credential-ecr-login takes keys, or a role with AWS_WEB_IDENTITY_TOKEN_FILE.`,
      );
}

/** By a digest: the cache holds no keys of accounts. */
function cacheKey(parts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

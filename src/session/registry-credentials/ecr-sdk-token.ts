import * as v from "valibot";
import { KilnError } from "../../errors.js";
import type { Credentials } from "../credentials.js";
import { SecretMasks } from "../secret-masks.js";
import { type AwsAccess, readAwsToken } from "./aws-access.js";
import {
  ecrPackage,
  endpointsIn,
  loadEcrPackage,
  loadProvidersPackage,
  type PackageLoader,
  type ProvidersPackage,
  providersPackage,
} from "./aws-sdk.js";
import { credentialsProblem, type SecretValues, type WantedFor } from "./credentials-problem.js";
import type { EcrHost } from "./ecr-host.js";
import type { Expiring } from "./expiring-cache.js";

const timeoutMs = 30_000;

/** A password is used up to so long before it expires. */
const marginMs = 5 * 60_000;

/** What {@link ecrTokenBySdk} works with. */
export interface EcrTokenOptions {
  readonly ecr: EcrHost;
  readonly access: AwsAccess;
  readonly values: SecretValues;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly load: PackageLoader;
}

const answerSchema = v.object({
  authorizationData: v.pipe(
    v.array(v.object({ authorizationToken: v.string(), expiresAt: v.optional(v.date()) })),
    v.minLength(1),
  ),
});

/**
 * A password for ECR by AWS's own SDK (`GetAuthorizationToken`, good for 12 hours); the packages that are missing where it
 * is not installed.
 *
 * Endpoints are AWS's, or those of `AWS_ENDPOINT_URL_ECR`, `AWS_ENDPOINT_URL_STS` and `AWS_ENDPOINT_URL` in `env`. Rejects
 * with `ERR_KILN_UNAUTHORIZED` for what AWS refuses or does not answer in 30 s; no message holds a value of the secret.
 */
export async function ecrTokenBySdk(
  wanted: WantedFor,
  options: EcrTokenOptions,
): Promise<Expiring<Credentials> | { readonly missing: readonly string[] }> {
  const { ecr, access, env, load } = options;
  try {
    const sdk = await loadEcrPackage(load);
    const providers = access.kind === "keys" ? undefined : await loadProvidersPackage(load);
    const missing = [
      ...(sdk === undefined ? [ecrPackage] : []),
      ...(access.kind === "keys" || providers !== undefined ? [] : [providersPackage]),
    ];
    if (sdk === undefined || missing.length > 0) return { missing };
    const endpoint = endpointsIn(env).ecr;
    const client = new sdk.ECRClient({
      region: ecr.region,
      credentials: await credentialsOf(wanted, options, providers),
      // The SDK takes either an endpoint or a kind of endpoint.
      ...(endpoint !== undefined
        ? { endpoint }
        : { useFipsEndpoint: ecr.fips, useDualstackEndpoint: ecr.dualStack }),
    });
    try {
      const abortSignal = AbortSignal.timeout(timeoutMs);
      return readAnswer(wanted, await client.send(new sdk.GetAuthorizationTokenCommand({}), { abortSignal }));
    } finally {
      client.destroy();
    }
  } catch (error) {
    throw error instanceof KilnError ? error : refusal(wanted, error, options);
  }
}

async function credentialsOf(
  wanted: WantedFor,
  { access, values, ecr, env }: EcrTokenOptions,
  providers: ProvidersPackage | undefined,
): Promise<unknown> {
  if (access.kind === "keys" || providers === undefined)
    return access.kind === "keys" ? access.keys : undefined;
  const { role } = access;
  const endpoint = endpointsIn(env).sts;
  const region = values["AWS_REGION"] || ecr.region;
  const clientConfig = endpoint === undefined ? { region } : { region, endpoint };
  if (access.kind === "assume-role") {
    return providers.fromTemporaryCredentials({
      params: { RoleArn: role.arn, RoleSessionName: role.sessionName },
      masterCredentials: access.keys,
      clientConfig,
    });
  }
  return providers.fromWebToken({
    roleArn: role.arn,
    roleSessionName: role.sessionName,
    webIdentityToken: await readAwsToken(wanted, access.token),
    clientConfig,
  });
}

function readAnswer(wanted: WantedFor, answer: unknown): Expiring<Credentials> {
  const { success, output } = v.safeParse(answerSchema, answer);
  const data = success ? output.authorizationData[0] : undefined;
  const text = Buffer.from(data?.authorizationToken ?? "", "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (data === undefined || colon < 1 || colon === text.length - 1) {
    throw credentialsProblem(wanted, "AWS answered no password", "Check the endpoint that is asked.");
  }
  return {
    value: { username: text.slice(0, colon), secret: text.slice(colon + 1) },
    expiresAt: data.expiresAt === undefined ? undefined : data.expiresAt.getTime() - marginMs,
  };
}

/** AWS's words by name and first line; they may quote what was sent, so without values, and without the error itself. */
function refusal(wanted: WantedFor, error: unknown, { values, access }: EcrTokenOptions): KilnError {
  const masks = new SecretMasks();
  for (const [key, value] of Object.entries(values)) {
    if (!/^AWS_(?:REGION|ROLE_|WEB_IDENTITY_TOKEN_FILE)/.test(key)) masks.add(value);
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  const line = message.split("\n", 1)[0]?.slice(0, 300) ?? "";
  const who = access.kind === "keys" ? "the keys" : `the role ${access.role.arn}`;
  return credentialsProblem(
    wanted,
    `AWS gave none for ${who}: ${masks.mask(`${name}: ${line}`)}`,
    access.kind === "keys"
      ? "Check the keys in the secret, and that they may call ecr:GetAuthorizationToken."
      : "Check that the role trusts who takes it on, and that it may call ecr:GetAuthorizationToken.",
  );
}

/** Loads a package by its name, as `import` does. */
export type PackageLoader = (name: string) => Promise<unknown>;

/** What Kiln uses of `@aws-sdk/client-ecr`. */
export interface EcrPackage {
  readonly ECRClient: new (config: {
    readonly region: string;
    readonly credentials: unknown;
    readonly endpoint?: string;
    readonly useFipsEndpoint?: boolean;
    readonly useDualstackEndpoint?: boolean;
  }) => {
    send(command: unknown, options: { readonly abortSignal: AbortSignal }): Promise<unknown>;
    destroy(): void;
  };
  readonly GetAuthorizationTokenCommand: new (input: Readonly<Record<string, never>>) => unknown;
}

/** What Kiln uses of `@aws-sdk/credential-providers`. Both make what `ECRClient` takes as `credentials`. */
export interface ProvidersPackage {
  readonly fromWebToken: (options: {
    readonly roleArn: string;
    readonly roleSessionName: string;
    readonly webIdentityToken: string;
    readonly clientConfig: StsConfig;
  }) => unknown;
  readonly fromTemporaryCredentials: (options: {
    readonly params: { readonly RoleArn: string; readonly RoleSessionName: string };
    readonly masterCredentials: unknown;
    readonly clientConfig: StsConfig;
  }) => unknown;
}

/** Where AWS's token service is asked. */
export interface StsConfig {
  readonly region: string;
  readonly endpoint?: string;
}

/** Names of the optional packages. */
export const ecrPackage = "@aws-sdk/client-ecr";
/** For roles: the client's own package does not export how to take one on. */
export const providersPackage = "@aws-sdk/credential-providers";

/** Where AWS's services are asked if not at their own addresses, as all of AWS's tools have it in the environment. */
export function endpointsIn(env: Readonly<Record<string, string | undefined>>): {
  readonly ecr: string | undefined;
  readonly sts: string | undefined;
} {
  const all = env["AWS_ENDPOINT_URL"] || undefined;
  return { ecr: env["AWS_ENDPOINT_URL_ECR"] || all, sts: env["AWS_ENDPOINT_URL_STS"] || all };
}

/** Loads the package from where Kiln is installed. A name, not a literal: bundlers must not want what is optional. */
export const importPackage: PackageLoader = (name) => import(name);

/** The package, or `undefined` if it is not installed. Rejects if it is there and cannot be loaded, or is another one. */
export async function loadEcrPackage(load: PackageLoader): Promise<EcrPackage | undefined> {
  return loadPackage(load, ecrPackage, isEcrPackage);
}

/** As {@link loadEcrPackage}. */
export async function loadProvidersPackage(load: PackageLoader): Promise<ProvidersPackage | undefined> {
  return loadPackage(load, providersPackage, isProvidersPackage);
}

async function loadPackage<T>(
  load: PackageLoader,
  name: string,
  isOne: (value: unknown) => value is T,
): Promise<T | undefined> {
  let loaded: unknown;
  try {
    loaded = await load(name);
  } catch (error) {
    if (isNotInstalled(error, name)) return undefined;
    throw error;
  }
  if (isOne(loaded)) return loaded;
  throw new TypeError(`the package ${name} is not the one that is wanted: version 3 is`);
}

/** The package itself, not one that it needs in turn. */
function isNotInstalled(error: unknown, name: string): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  const { code } = error;
  return (
    (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") && error.message.includes(`'${name}'`)
  );
}

function isEcrPackage(value: unknown): value is EcrPackage {
  return hasFunctions(value, ["ECRClient", "GetAuthorizationTokenCommand"]);
}

function isProvidersPackage(value: unknown): value is ProvidersPackage {
  return hasFunctions(value, ["fromWebToken", "fromTemporaryCredentials"]);
}

function hasFunctions(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  const held = new Map(Object.entries(value));
  return names.every((name) => typeof held.get(name) === "function");
}

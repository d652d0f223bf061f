import { type Credentials, type CredentialsProvider, isDockerHub } from "../credentials.js";

/**
 * A provider that answers for some hosts by itself and asks `base` about all others.
 *
 * A host that Docker Hub goes by stands for all of its names. What a host's function rejects with is not covered up by
 * `base`: who names credentials for a host wants no others.
 */
export function withRegistryCredentials(
  base: CredentialsProvider,
  byHost: ReadonlyMap<string, () => Promise<Credentials>>,
): CredentialsProvider {
  const hub = [...byHost].find(([host]) => isDockerHub(host))?.[1];
  return async (host, signal) => {
    const find = byHost.get(host) ?? (isDockerHub(host) ? hub : undefined);
    return find === undefined ? base(host, signal) : find();
  };
}

/** What a registry is answered with. An identity token goes into `secret` with an empty `username`. */
export interface Credentials {
  readonly username: string;
  readonly secret: string;
  /** A bearer token that the registry takes as it is, in place of the other two. */
  readonly registryToken?: string | undefined;
}

/** Finds credentials for a registry host; `undefined` = anonymous. */
export type CredentialsProvider = (host: string, signal: AbortSignal) => Promise<Credentials | undefined>;

const hubHosts = new Set(["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"]);

/** Whether a host is Docker Hub: daemons, tools and references have several names for it. */
export function isDockerHub(host: string): boolean {
  return hubHosts.has(host);
}

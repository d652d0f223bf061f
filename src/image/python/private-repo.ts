/** A host whose private repositories a step may install, and the variable that holds its token. */
const tokens: Readonly<Record<string, string>> = {
  "github.com": "GITHUB_TOKEN",
  "gitlab.com": "GITLAB_TOKEN",
};

/** A package in a private git repository. */
export interface PrivateRepo {
  /** As its user wrote it: `github.com/org/repo@v1#subdirectory=package`. */
  readonly ref: string;
  /** Address of the repository, for git: `https://github.com/org/repo`. */
  readonly url: string;
  /** The variable that holds the token. */
  readonly token: string;
}

/** Reads a reference to a package in a private repository; `undefined` for what is none. */
export function parsePrivateRepo(ref: string): PrivateRepo | undefined {
  const match = /^([a-z.]+)((?:\/[\w.~-]+){2,})(?:@[\w./+~-]+)?(?:#[\w.=&[\]/~%+-]+)?$/.exec(ref);
  if (match === null) return undefined;
  const [, host = "", path = ""] = match;
  const token = Object.hasOwn(tokens, host) ? tokens[host] : undefined;
  return token === undefined ? undefined : { ref, url: `https://${host}${path}`, token };
}

/** A remote Git repository as BuildKit reads its address. */
export interface GitUrl {
  /** `http`, `https`, `ssh` or `git`. */
  readonly scheme: string;
  /** Host with port. */
  readonly host: string;
  /** Path on the host, decoded. */
  readonly path: string;
  /** The address for Git itself. */
  readonly remote: string;
}

const withScheme =
  /^(?<scheme>[a-zA-Z0-9]+):\/\/(?:(?<user>[^/?#@]*(?:@[^/?#@]*)*)@)?(?<host>[^/?#@\s]*)(?<path>\/[^?#]*)?(?<rest>[?#].*)?$/s;
const scpStyle = /^(?<user>[a-zA-Z0-9-_]+)@(?<host>[a-zA-Z0-9-.]+):(?<path>[^?#]*)(?<rest>[?#].*)?$/s;
// What Go leaves as it is in an escaped path.
const plainPath = /^(?:[A-Za-z0-9\-_.~!$&'()*+,;=:@[\]/]|%[0-9A-Fa-f]{2})*$/;

/**
 * Reads the address of a Git repository: `https://…`, `http://…`, `ssh://…`, `git://…`, `user@host:path`, or a bare
 * `host/path` (then https). The results are those of BuildKit's `gitutil.ParseURL`.
 *
 * Returns the reason as a string where it is no such address.
 */
export function parseGitUrl(text: string): GitUrl | string {
  if (/^[a-zA-Z0-9]+:\/\//.test(text)) return parseWithScheme(text);
  const scp = scpStyle.exec(text)?.groups;
  if (scp === undefined) return parseWithScheme(`https://${text}`);
  const { user = "", host = "", path = "", rest } = scp;
  if (rest !== undefined) return hasMore(rest);
  return { scheme: "ssh", host, path, remote: `${user}@${host}:${path}` };
}

function parseWithScheme(text: string): GitUrl | string {
  const found = withScheme.exec(text)?.groups;
  if (found === undefined) return "it is no URL";
  const { user, host = "", path = "", rest } = found;
  const scheme = (found["scheme"] ?? "").toLowerCase();
  if (!["http", "https", "ssh", "git"].includes(scheme)) return `Git has no protocol ${scheme}://`;
  if (host === "") return "it names no host";
  if (rest !== undefined) return hasMore(rest);
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return "its path is not encoded properly";
  }
  const escaped = plainPath.test(path) ? path : encodePath(decoded);
  return {
    scheme,
    host,
    path: decoded,
    remote: `${scheme}://${user === undefined ? "" : `${user}@`}${host}${escaped}`,
  };
}

function hasMore(rest: string): string {
  return rest.startsWith("#")
    ? "it has a fragment; pass ref and subdirectory on their own"
    : "it has a query";
}

function encodePath(path: string): string {
  return encodeURI(path).replaceAll("#", "%23").replaceAll("?", "%3F");
}

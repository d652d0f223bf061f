import type { HttpHeader } from "../../llb/http.js";
import type { DefinitionSource } from "../../llb/rewrite-sources.js";
import { isDigest } from "../../oci/digest.js";
import { formatPlatform, normalizePlatform, type Platform } from "../../oci/platform.js";
import { parseReference } from "../../oci/reference.js";
import type { SourceName } from "./source-lock.js";

/** The scheme of images of registries. */
export const imageScheme = "docker-image://";

/** What becomes of a git source's identifier: `git://HOST/PATH#REF:DIRECTORY`. */
export interface GitIdentifier {
  /** What comes before `#`, without a user. */
  readonly repository: string;
  /** Branch, tag or commit; `""` = the default branch. */
  readonly ref: string;
  /** Directory within the repository; `""` = all of it. */
  readonly subDir: string;
}

/** Takes a git source's identifier apart. */
export function parseGitIdentifier(identifier: string): GitIdentifier {
  const hash = identifier.indexOf("#");
  const repository = withoutUser(hash < 0 ? identifier : identifier.slice(0, hash));
  const fragment = hash < 0 ? "" : identifier.slice(hash + 1);
  const colon = fragment.indexOf(":");
  if (colon < 0) return { repository, ref: fragment, subDir: "" };
  return { repository, ref: fragment.slice(0, colon), subDir: fragment.slice(colon + 1) };
}

/**
 * The name under which a lock holds a source. `undefined` for one that needs no entry: it names its content itself (a
 * digest, a checksum, a commit), or this machine gives it (local trees, layouts, uploads).
 *
 * `platform` is what an image without one is for. Throws `ERR_KILN_INVALID_REFERENCE` for an image that has no proper
 * reference.
 */
export function nameOfSource(
  { identifier, attrs, platform: own }: Pick<DefinitionSource, "identifier" | "attrs" | "platform">,
  platform?: Platform,
): SourceName | undefined {
  if (identifier.startsWith(imageScheme)) {
    const reference = parseReference(identifier.slice(imageScheme.length));
    if (reference.digest !== undefined || isSet(attrs["image.checksum"])) return undefined;
    const wanted = own ?? platform;
    return {
      type: "image",
      source: identifier,
      platform: wanted === undefined ? undefined : platformName(wanted),
    };
  }
  if (identifier.startsWith("git://")) {
    const { repository, ref } = parseGitIdentifier(identifier);
    const isCommit = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(ref);
    if (isCommit || isSet(attrs["git.checksum"]) || isSet(attrs["git.bundle"])) return undefined;
    return { type: "git", source: ref === "" ? repository : `${repository}#${ref}` };
  }
  if (/^https?:\/\//i.test(identifier)) {
    // Sent by the session: there is no server behind it.
    if (/^https?:\/\/buildkit-session(?:[/:]|$)/i.test(identifier)) return undefined;
    if (isDigest(attrs["http.checksum"] ?? "")) return undefined;
    const header = headerOf(attrs);
    const name = { type: "http", source: withoutUser(identifier) } as const;
    return header === undefined ? name : { ...name, header };
  }
  return undefined;
}

/** A platform as locks write it. The version of an operating system counts: Windows images differ by it. */
export function platformName(platform: Platform): string {
  const { osVersion, ...normal } = normalizePlatform(platform);
  const text = formatPlatform(normal);
  if (osVersion === undefined || osVersion === "") return text;
  return text.replace("/", () => `(${osVersion})/`);
}

/** An address or identifier without user and password, which no lock may hold. */
function withoutUser(identifier: string): string {
  return identifier.replace(/^([a-z]+:\/\/)[^/?#]*@/i, "$1");
}

function headerOf(attrs: Readonly<Record<string, string>>): HttpHeader | undefined {
  const accept = attrs["http.header.accept"];
  const userAgent = attrs["http.header.user-agent"];
  if (!isSet(accept) && !isSet(userAgent)) return undefined;
  return {
    ...(isSet(accept) ? { accept } : {}),
    ...(isSet(userAgent) ? { userAgent } : {}),
  };
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== "";
}

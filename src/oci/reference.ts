import { KilnError, type KilnErrorOptions } from "../errors.js";

/** An image reference, normalised: Docker Hub's names in full, the tag filled in. */
export interface ImageReference {
  /** Registry host with port, e.g. `docker.io` or `localhost:5000`. */
  readonly domain: string;
  /** Repository, e.g. `library/debian`. */
  readonly path: string;
  /** `latest` when neither tag nor digest was written; `undefined` with a digest alone. */
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const pathComponent = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const domainPattern =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[0-9a-fA-F:.]+\])(?::[0-9]+)?$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const digestPattern = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;

/**
 * Reads an image reference as Docker does (`distribution/reference`, `ParseNormalizedNamed` and
 * `TagNameOnly`): `debian` means `docker.io/library/debian:latest`.
 *
 * Throws `ERR_KILN_INVALID_REFERENCE`; `options` are put into that error.
 */
export function parseReference(text: string, options: KilnErrorOptions = {}): ImageReference {
  const fail = (why: string, hint?: string): KilnError =>
    new KilnError("ERR_KILN_INVALID_REFERENCE", `not an image reference: ${JSON.stringify(text)}: ${why}`, {
      hint: hint ?? "Write it like debian:bookworm-slim or ghcr.io/owner/name:tag.",
      ...options,
    });
  if (typeof text !== "string" || text === "") throw fail("it is empty");
  if (text.includes("://")) {
    throw fail("it has a scheme", `Leave out the scheme: ${text.slice(text.indexOf("://") + 3)}`);
  }
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !digestPattern.test(digest)) throw fail("what follows @ is no digest");
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagPattern.test(tag)) throw fail(`${JSON.stringify(tag)} is no tag`);
  const name = hasTag ? named.slice(0, colon) : named;
  const { domain, path } = splitDomain(name);
  if (!domainPattern.test(domain)) throw fail(`${JSON.stringify(domain)} is no registry host`);
  if (path === "") throw fail("it names no repository");
  for (const component of path.split("/")) {
    if (pathComponent.test(component)) continue;
    if (component !== component.toLowerCase()) {
      throw fail("repository names are lower case", `Did you mean ${text.toLowerCase()}?`);
    }
    throw fail(`${JSON.stringify(component)} is no part of a repository name`);
  }
  if (domain.length + 1 + path.length > 255) throw fail("it is longer than 255 characters");
  return { domain, path, tag: tag ?? (digest === undefined ? "latest" : undefined), digest };
}

/** The reference in full, as BuildKit wants it in an image source: `docker.io/library/debian:latest`. */
export function formatReference(reference: ImageReference): string {
  const { domain, path, tag, digest } = reference;
  return `${domain}/${path}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

function splitDomain(name: string): { readonly domain: string; readonly path: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  // Docker's rule: the first part is a host if it looks like one, else the name is Docker Hub's.
  const isHost = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  if (!isHost) return hub(name);
  const path = name.slice(slash + 1);
  return first === "index.docker.io" || first === "docker.io" ? hub(path) : { domain: first, path };
}

function hub(path: string): { readonly domain: string; readonly path: string } {
  return { domain: "docker.io", path: path.includes("/") || path === "" ? path : `library/${path}` };
}

import { KilnError } from "../../errors.js";
import { formatReference, parseReference } from "../../oci/reference.js";
import type { SourcePolicy, SourceRule } from "../supply-chain/source-policy.js";
import { checkLock } from "./lock-text.js";
import type { LockedGit, LockedHttp, LockedImage, SourceLock } from "./source-lock.js";
import { imageScheme, parseGitIdentifier } from "./source-name.js";

/**
 * Rules that have the daemon take what a lock holds: for builds whose sources are not all in a definition, as those of a
 * frontend. Where they are, `pinDefinition` is better: a converted source has another digest on the daemon than here.
 *
 * A source that the lock does not hold stays as it is. To use it beside rules of one's own, put the lock's first:
 * `{ rules: [...sourceLockPolicy(lock).rules, ...mine.rules] }`. Then the others see the pinned names, e.g.
 * `docker-image://docker.io/library/alpine:3.20@sha256:…`, and decide about them.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for an image that has other digests on other platforms: rules cannot tell platforms
 * apart. Throws `ERR_KILN_LOCK_INVALID` for what is no lock.
 */
export function sourceLockPolicy(lock: SourceLock): SourcePolicy {
  const images = new Map<string, LockedImage>();
  const rules: SourceRule[] = [];
  for (const entry of checkLock(lock).sources) {
    if (entry.type === "git") rules.push(gitRule(entry));
    else if (entry.type === "http") rules.push(httpRule(entry));
    else {
      const other = images.get(entry.source);
      if (other === undefined) rules.push(imageRule(entry));
      else if (other.digest !== entry.digest) throw differs(other, entry);
      images.set(entry.source, entry);
    }
  }
  return { rules };
}

function imageRule({ source, digest }: LockedImage): SourceRule {
  const reference = parseReference(source.slice(imageScheme.length));
  return {
    action: "convert",
    selector: { identifier: source, match: "exact" },
    updates: { identifier: `${imageScheme}${formatReference({ ...reference, digest })}` },
  };
}

/** The directory within the repository is part of the identifier, but not of the lock. */
function gitRule({ source, commit }: LockedGit): SourceRule {
  const { repository, ref } = parseGitIdentifier(source);
  const fragment = ref === "" ? "(?:#(:.*)?)?" : `#${escaped(ref)}(:.*)?`;
  return {
    action: "convert",
    selector: { identifier: `^${withAnyUser(repository)}${fragment}$`, match: "regex" },
    updates: { identifier: `$1$2#${commit}$3` },
  };
}

function httpRule({ source, header, digest }: LockedHttp): SourceRule {
  return {
    action: "convert",
    selector: {
      identifier: `^${withAnyUser(source)}$`,
      match: "regex",
      // The same address with other headers may be another file.
      constraints: [
        { key: "http.header.accept", value: header?.accept ?? "" },
        { key: "http.header.user-agent", value: header?.userAgent ?? "" },
      ],
    },
    updates: { identifier: "$1$2", attrs: { "http.checksum": digest } },
  };
}

/** A pattern of two groups for an address with or without a user, who is not in the lock. */
function withAnyUser(source: string): string {
  const host = source.indexOf("://") + 3;
  return `(${escaped(source.slice(0, host))}(?:[^/?#]*@)?)(${escaped(source.slice(host))})`;
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function differs(one: LockedImage, other: LockedImage): KilnError {
  return new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `sourceLockPolicy(): ${one.source} has one digest for ${one.platform} and another for ${other.platform}`,
    { hint: 'Pin the definition with pinDefinition() instead, or lock the image anew with pull "always".' },
  );
}

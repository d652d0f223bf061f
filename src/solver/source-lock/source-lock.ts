import { compareBytes } from "../../llb/byte-order.js";
import type { HttpHeader } from "../../llb/http.js";

/**
 * When sources are resolved: `locked` = never, what the lock does not hold is refused; `missing` = what the lock does not
 * hold; `always` = all of them anew.
 */
export type PullMode = "locked" | "missing" | "always";

/** The words of {@link PullMode}. */
export const pullModes: readonly PullMode[] = ["locked", "missing", "always"];

/** The newest version of the format that this package knows, and the one that it writes. */
export const lockVersion = 1;

/** What a moving source was when it was locked: plain data, to be printed, compared and stored. */
export interface SourceLock {
  /** Of the format. */
  readonly version: typeof lockVersion;
  /** One entry for each source, sorted; see {@link mergeSourceLocks}. */
  readonly sources: readonly LockedSource[];
}

/** One source in a {@link SourceLock}. */
export type LockedSource = LockedImage | LockedGit | LockedHttp;

/** An image of a registry, for one platform. */
export interface LockedImage {
  readonly type: "image";
  /** E.g. `docker-image://docker.io/library/alpine:3.20`. */
  readonly source: string;
  /** `os/arch[/variant]`; `os(version)/arch` where the version counts. `undefined` = whatever the daemon is. */
  readonly platform?: string | undefined;
  /** Of the index, or of the manifest where there is none. */
  readonly digest: string;
}

/** A branch, tag or default branch of a repository. */
export interface LockedGit {
  readonly type: "git";
  /** E.g. `git://github.com/owner/name.git#main`: without subdirectory and user, however it is fetched. */
  readonly source: string;
  /** The commit's id, 40 or 64 hexadecimal digits. */
  readonly commit: string;
  /** Id of the annotated tag, where there is one and the daemon tells (BuildKit 0.26). */
  readonly tag?: string | undefined;
}

/** A file behind an address. */
export interface LockedHttp {
  readonly type: "http";
  /** The address, without user and password. */
  readonly source: string;
  /** Request headers that the server may choose the content by. */
  readonly header?: HttpHeader | undefined;
  /** Of the content. */
  readonly digest: string;
  /** `Last-Modified` as RFC 3339, where the daemon tells (BuildKit 0.26). */
  readonly lastModified?: string | undefined;
}

/** A source without what it is locked to: what entries are found by. */
export type SourceName =
  | Pick<LockedImage, "type" | "source" | "platform">
  | Pick<LockedGit, "type" | "source">
  | Pick<LockedHttp, "type" | "source" | "header">;

/** A lock that holds nothing. */
export const emptySourceLock: SourceLock = Object.freeze({
  version: lockVersion,
  sources: Object.freeze([]),
});

/** A text that is the same for two names exactly if they are of the same source. */
export function keyOf(name: SourceName): string {
  const platform = name.type === "image" ? (name.platform ?? "") : "";
  const header = name.type === "http" ? (name.header ?? {}) : {};
  return [name.source, platform, header.accept ?? "", header.userAgent ?? ""].join("\n");
}

/** A source for messages. */
export function describeName(name: SourceName): string {
  return name.type === "image" && name.platform !== undefined
    ? `${name.source} (${name.platform})`
    : name.source;
}

/** The entries by {@link keyOf}. */
export function entriesByKey(lock: SourceLock): ReadonlyMap<string, LockedSource> {
  return new Map(lock.sources.map((entry) => [keyOf(entry), entry]));
}

/**
 * The entries of several locks as one, sorted by source, platform and headers in byte order; where two have an entry for
 * the same source, the later lock's counts. With one lock: the same lock in its proper order.
 */
export function mergeSourceLocks(...locks: readonly SourceLock[]): SourceLock {
  const entries = new Map(locks.flatMap((lock) => [...entriesByKey(lock)]));
  const sorted = [...entries].sort(([a], [b]) => compareBytes(a, b));
  return { version: lockVersion, sources: sorted.map(([, entry]) => entry) };
}

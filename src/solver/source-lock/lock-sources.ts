import { checkOptions } from "../../internal/check-options.js";
import { checkChoice, checkName, wrongArgument } from "../../llb/check-argument.js";
import { Definition } from "../../llb/definition.js";
import type { Platform } from "../../oci/platform.js";
import type { Client, ClientSolveOptions } from "../client.js";
import { readIfThere, writeSourceLock } from "./lock-file.js";
import { checkLock, sameSourceLock } from "./lock-text.js";
import { namesOf, pinDefinition, unlockedError } from "./pin-definition.js";
import { resolveNames } from "./resolve-names.js";
import {
  emptySourceLock,
  entriesByKey,
  keyOf,
  mergeSourceLocks,
  type PullMode,
  pullModes,
  type SourceLock,
} from "./source-lock.js";

/** Options of {@link lockSources}. */
export interface LockSourcesOptions
  extends Pick<ClientSolveOptions, "credentials" | "secrets" | "ssh" | "sourcePolicy" | "signal"> {
  /** What is locked already. Default nothing. */
  readonly lock?: SourceLock | undefined;
  /** See {@link PullMode}. Default `missing`. */
  readonly pull?: PullMode | undefined;
  /** What images that name no platform are for. Default the daemon's own. */
  readonly platform?: Platform | undefined;
  /** What becomes of entries that no definition uses: other builds may. Default `keep`. */
  readonly unused?: "keep" | "drop" | undefined;
}

/** Options of {@link lockedDefinition}. */
export interface LockedDefinitionOptions extends Omit<LockSourcesOptions, "lock"> {
  /** A lock file, which need not be there yet and is written when something changes; or a lock. */
  readonly lock: string | SourceLock;
}

/** What {@link lockedDefinition} made. */
export interface LockedDefinition {
  /** With every moving source pinned. */
  readonly definition: Definition;
  readonly lock: SourceLock;
  /** Whether the lock is another one than before. */
  readonly changed: boolean;
}

const resolveKeys = [
  "pull",
  "platform",
  "unused",
  "credentials",
  "secrets",
  "ssh",
  "sourcePolicy",
  "signal",
] as const;

/**
 * Locks the sources of definitions: images to digests, branches and tags to commits, files to their checksums, as the
 * daemon sees them, with the session's credentials.
 *
 * `pull: "locked"` asks nobody. Otherwise a daemon before BuildKit 0.26 fetches the repositories and files that are
 * locked anew, as the build would; nothing of them comes to this side. What does not move needs no entry: images with a
 * digest, commits, files with a checksum, what comes from this machine.
 *
 * Rejects with `ERR_KILN_SOURCE_UNLOCKED` under `locked` for what the lock does not hold; with a `SolveError` that names
 * the source for one that cannot be resolved; and as `Client.solve` does, for bad options too.
 */
export async function lockSources(
  client: Client,
  definitions: Definition | readonly Definition[],
  options: LockSourcesOptions = {},
): Promise<SourceLock> {
  const call = "lockSources()";
  checkOptions(call, options, ["lock", ...resolveKeys]);
  const list = checkDefinitions(call, definitions);
  const lock = options.lock === undefined ? emptySourceLock : checkLock(options.lock);
  return resolveLock(call, client, list, { ...options, lock, file: undefined });
}

/**
 * A definition with its sources pinned by a lock, which is completed as `pull` says: all that a solve with a lock does
 * before it solves.
 *
 * A lock file is written only if it changes, in one step; entries that another process has added meanwhile are kept and
 * used. Rejects as {@link lockSources} does, with `ERR_KILN_LOCK_INVALID` and file and
 * line for a file that cannot be read, and with `ERR_KILN_OUTPUT_UNWRITABLE`.
 */
export async function lockedDefinition(
  client: Client,
  definition: Definition,
  options: LockedDefinitionOptions,
): Promise<LockedDefinition> {
  const call = "lockedDefinition()";
  checkOptions(call, options, ["lock", ...resolveKeys]);
  const list = checkDefinitions(call, definition);
  const file = typeof options.lock === "string" ? checkName(call, "lock", options.lock) : undefined;
  const before = typeof options.lock === "string" ? await readIfThere(options.lock) : checkLock(options.lock);
  const held = before ?? emptySourceLock;
  const { platform, pull } = options;
  const resolved = await resolveLock(call, client, list, { ...options, lock: held, file });
  const changed = !sameSourceLock(held, resolved);
  const lock = file === undefined ? resolved : await storeSourceLock(file, resolved, { before: held, pull });
  return { definition: pinDefinition(definition, lock, { platform }), lock, changed };
}

/**
 * Writes a lock that was completed since its file was read, if it is another one than `before`; gives what the file holds
 * then, entries that another process has added meanwhile included. Rejects as {@link lockedDefinition} does for the file.
 */
export async function storeSourceLock(
  file: string,
  lock: SourceLock,
  options: { readonly before: SourceLock; readonly pull: PullMode | undefined },
): Promise<SourceLock> {
  const { before, pull } = options;
  if (sameSourceLock(before, lock)) return lock;
  const joined = joinOthers(lock, before, (await readIfThere(file)) ?? emptySourceLock, pull);
  await writeSourceLock(file, joined);
  return joined;
}

/** The lock with what others put into its file since it was read. Where both resolved a source, who was first counts. */
function joinOthers(
  ours: SourceLock,
  before: SourceLock,
  now: SourceLock,
  pull: PullMode | undefined,
): SourceLock {
  const known = entriesByKey(before);
  const added = now.sources.filter((entry) => !known.has(keyOf(entry)));
  const theirs: SourceLock = { version: 1, sources: added };
  return pull === "always" ? mergeSourceLocks(theirs, ours) : mergeSourceLocks(ours, theirs);
}

async function resolveLock(
  call: string,
  client: Client,
  definitions: readonly Definition[],
  options: LockSourcesOptions & { readonly lock: SourceLock; readonly file: string | undefined },
): Promise<SourceLock> {
  const { lock, platform, credentials, secrets, ssh, sourcePolicy, signal } = options;
  const pull = checkChoice(call, "pull", options.pull ?? "missing", pullModes);
  const unused = checkChoice(call, "unused", options.unused ?? "keep", ["keep", "drop"]);
  signal?.throwIfAborted();
  const names = namesOf(definitions, platform);
  const used = new Set(names.map(keyOf));
  const held = entriesByKey(lock);
  const open = pull === "always" ? names : names.filter((name) => !held.has(keyOf(name)));
  if (pull === "locked" && open.length > 0) throw unlockedError(open, { file: options.file });
  const resolved =
    open.length === 0
      ? []
      : await resolveNames(client, definitions, open, {
          ...{ credentials, secrets, ssh, sourcePolicy, signal, platform },
          pull,
          held: lock,
        });
  const merged = mergeSourceLocks(lock, { version: 1, sources: resolved });
  if (unused === "keep") return merged;
  return { ...merged, sources: merged.sources.filter((entry) => used.has(keyOf(entry))) };
}

function checkDefinitions(call: string, value: Definition | readonly Definition[]): readonly Definition[] {
  const list = Array.isArray(value) ? (value as readonly Definition[]) : [value as Definition];
  if (list.every((one) => one instanceof Definition)) return list;
  throw wrongArgument(call, "a definition is no Definition", "Pass what marshal(state) returned.");
}

import { type FileHandle, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { withDirectoryLock } from "../../internal/directory-lock.js";
import { isRunning, processMark } from "../../internal/process-mark.js";
import { randomId } from "../../internal/random-id.js";
import type { EventHistoryOptions } from "./event-history.js";
import { RunJournal, type SharedRunCodecs } from "./run-journal.js";

/** What a caller of {@link findRun} is to do. */
export type RunPlace<Result, Event> =
  /** Run, and tell others. */
  | { readonly kind: "lead"; readonly journal: RunJournal<Result, Event> }
  /** Follow the run of another process. */
  | { readonly kind: "follow"; readonly name: string; readonly mark: string; readonly file: FileHandle }
  /** Run, untold: the directory cannot be used. */
  | { readonly kind: "alone" };

/** What {@link findRun} looks for. */
export interface FindRunOptions<Result, Event> {
  readonly dir: string;
  /** Hexadecimal. */
  readonly key: string;
  /** Runs that were followed and lost. */
  readonly lost: ReadonlySet<string>;
  readonly silentMs: number;
  readonly codecs: SharedRunCodecs<Result, Event>;
  readonly events: EventHistoryOptions<Event>;
  readonly signal: AbortSignal;
}

/** How long the lock is waited for, and for one who cannot be looked up. It is held for milliseconds. */
const lockMs = 5000;
const lockSilentMs = 1000;
/** What a process that cannot be looked up has left alone for so long is removed. */
const abandonedMs = 24 * 60 * 60 * 1000;

/** `KEY.MARK.ID.run1`: 1 is the version of the files' format; files of others are left alone. */
const namePattern = /^([0-9a-f]+)\.([0-9a-f]{12}\.\d{1,10}\.\d{1,20})\.([0-9a-z]+)\.run1$/;

/**
 * Finds the run of a key that is under way in any process, or makes this process's the one: of all who ask at once, one
 * leads. Removes files of processes that are no more.
 *
 * Rejects with the signal's reason alone; a directory that cannot be used is nobody's problem.
 */
export async function findRun<Result, Event>(
  options: FindRunOptions<Result, Event>,
): Promise<RunPlace<Result, Event>> {
  const { dir, signal } = options;
  try {
    return await withDirectoryLock(join(dir, "lock"), () => lookAround(options), {
      ...{ signal, waitMs: lockMs, silentMs: lockSilentMs },
    });
  } catch {
    signal.throwIfAborted();
    return { kind: "alone" };
  }
}

async function lookAround<Result, Event>(
  options: FindRunOptions<Result, Event>,
): Promise<RunPlace<Result, Event>> {
  const { dir, key, lost, silentMs, codecs, events } = options;
  for (const name of await readdir(dir)) {
    const [, itsKey, mark = ""] = namePattern.exec(name) ?? [];
    if (itsKey === undefined) continue;
    const path = join(dir, name);
    const wanted = itsKey === key;
    if ((wanted && lost.has(name)) || (await isAbandoned(path, mark, wanted ? silentMs : abandonedMs))) {
      await rm(path, { force: true }).catch(() => {});
    } else if (wanted) {
      const file = await openIfThere(path);
      if (file !== undefined) return { kind: "follow", name, mark, file };
    }
  }
  const path = join(dir, `${key}.${processMark()}.${randomId()}.run1`);
  return { kind: "lead", journal: await RunJournal.create(path, codecs, events) };
}

/** Whether a run's process is no more, or stands still. Clocks of two machines may differ: then two run. */
async function isAbandoned(path: string, mark: string, silentMs: number): Promise<boolean> {
  if (isRunning(mark) === false) return true;
  try {
    return Date.now() - (await stat(path)).mtimeMs > silentMs;
  } catch {
    return false;
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    // It ended just now.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KilnError } from "../errors.js";
import { isRunning, processMark } from "./process-mark.js";
import { makeScratchDirectory } from "./scratch-directory.js";

/** How {@link withDirectoryLock} waits. */
export interface DirectoryLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long others may hold the lock before this gives up, in milliseconds. Default a minute. */
  readonly waitMs?: number | undefined;
  /**
   * How long a holder that cannot be looked up from here (another machine's, another container's) may give no sign of
   * life before its lock is taken over, in milliseconds. Holders give one every 5 seconds. Default 30 seconds.
   */
  readonly silentMs?: number | undefined;
}

const beatMs = 5000;

interface Holder {
  readonly path: string;
  /** The last sign of life. */
  readonly mtimeMs: number;
  readonly mark: string;
  readonly running: boolean | undefined;
}

/** When a sign of life was first seen. Clocks of two machines may differ: only this process's own counts. */
interface Sighting extends Pick<Holder, "path" | "mtimeMs"> {
  readonly at: number;
}

/**
 * Runs `task` while no other caller, in this process or another, holds the lock that is kept in `dir`, which is made if
 * need be. A lock whose holder is no more is taken over.
 *
 * Every turn has a number: a directory of that name that holds one file, `held.MARK` or `free.MARK`. The highest number
 * counts. The next turn is taken by renaming a directory to the next number, which fails if somebody was quicker; then
 * only are lower ones removed. So the highest never goes away, and whoever looked long ago and takes a number that had
 * been removed sees a higher one and steps back: there is no moment at which two take over one abandoned lock.
 *
 * Rejects with `ERR_KILN_LOCKED`, the signal's reason, or the file system's error.
 */
export async function withDirectoryLock<T>(
  dir: string,
  task: () => Promise<T>,
  options: DirectoryLockOptions = {},
): Promise<T> {
  const mark = processMark();
  const turn = await takeTurn(dir, mark, options);
  const beat = setInterval(() => {
    const now = new Date();
    utimes(turn, now, now).catch(() => {});
  }, beatMs);
  beat.unref();
  try {
    return await task();
  } finally {
    clearInterval(beat);
    // A rename within the directory needs no room on a full disk. A turn that is gone was taken over.
    await rename(join(turn, `held.${mark}`), join(turn, `free.${mark}`)).catch((error: unknown) => {
      if (codeOf(error) !== "ENOENT") throw error;
    });
  }
}

async function takeTurn(dir: string, mark: string, options: DirectoryLockOptions): Promise<string> {
  const { signal, waitMs = 60_000, silentMs = 30_000 } = options;
  const deadline = performance.now() + waitMs;
  await mkdir(dir, { recursive: true });
  let seen: Sighting | undefined;
  for (;;) {
    signal?.throwIfAborted();
    const last = Math.max(0, ...(await turnsIn(dir)));
    const holder = last === 0 ? undefined : await holderOf(join(dir, String(last)));
    if (holder !== undefined && holder.running !== false) {
      if (holder.running === true || seen?.path !== holder.path || seen.mtimeMs !== holder.mtimeMs) {
        seen = { path: holder.path, mtimeMs: holder.mtimeMs, at: performance.now() };
      }
      if (performance.now() - seen.at < silentMs) {
        if (performance.now() > deadline) throw locked(dir, holder.mark, waitMs);
        await pause(signal);
        continue;
      }
    }
    const turn = await tryTurn(dir, last + 1, mark);
    if (turn !== undefined) return turn;
  }
}

async function tryTurn(dir: string, number: number, mark: string): Promise<string | undefined> {
  const turn = join(dir, String(number));
  const fresh = await makeScratchDirectory(join(dir, "new"));
  try {
    await writeFile(join(fresh, `held.${mark}`), "");
    await rename(fresh, turn);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (["ENOTEMPTY", "EEXIST"].includes(String(codeOf(error)))) return undefined;
    throw error;
  }
  const others = (await turnsIn(dir)).filter((other) => other !== number);
  if (others.some((other) => other > number)) {
    await rm(turn, { recursive: true, force: true });
    return undefined;
  }
  for (const other of others)
    await rm(join(dir, String(other)), { recursive: true, force: true }).catch(() => {});
  return turn;
}

async function turnsIn(dir: string): Promise<readonly number[]> {
  return (await readdir(dir)).filter((name) => /^[1-9]\d{0,14}$/.test(name)).map(Number);
}

/** Who holds a turn; `undefined` if nobody does any more. */
async function holderOf(path: string): Promise<Holder | undefined> {
  try {
    const { mtimeMs } = await stat(path);
    const names = await readdir(path);
    if (names.some((name) => name.startsWith("free."))) return undefined;
    // Without a name it is between two: looked at again.
    const mark = names.find((name) => name.startsWith("held."))?.slice("held.".length) ?? "";
    return { path, mtimeMs, mark, running: isRunning(mark) };
  } catch (error) {
    // Removed for a higher one meanwhile: to be looked for.
    if (codeOf(error) === "ENOENT") return { path, mtimeMs: Number.NaN, mark: "", running: undefined };
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(2 + 20 * Math.random(), undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

function locked(dir: string, mark: string, waitMs: number): KilnError {
  const pid = mark.split(".")[1];
  const elsewhere = isRunning(mark) === undefined ? " of another machine or container" : "";
  const who = pid === undefined ? "another process" : `process ${pid}${elsewhere}`;
  return new KilnError(
    "ERR_KILN_LOCKED",
    `${who} has held the lock in ${dir} for ${Math.round(waitMs / 1000)} s`,
    { hint: "Let it finish, or end it; its lock then goes to the next." },
  );
}

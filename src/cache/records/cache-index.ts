import { futimesSync, type Stats } from "node:fs";
import { type FileHandle, lstat, mkdir, open, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KilnError } from "../../errors.js";
import { isMissing, systemErrorCode, systemReason } from "../../fsutil/file-errors.js";
import { processMark } from "../../internal/process-mark.js";
import { randomId } from "../../internal/random-id.js";
import { sweepScratchDirectories } from "../../internal/scratch-directory.js";
import { type BlobCache, blobCache } from "./blob-cache.js";
import type { CacheArea } from "./cache-area.js";
import { type CacheLimits, cacheSettings } from "./cache-settings.js";
import { type IndexPlaces, indexPlaces } from "./index-places.js";
import { listRecords, type RecordEntry } from "./list-records.js";
import { readRecord, recordFlags, type SeenFile } from "./read-record.js";
import { encodeRecord, type RecordType } from "./record-file.js";
import { isRecordKey, type RecordKind, type RecordName } from "./record-kind.js";
import { setAside } from "./set-aside.js";

/** Up to this size, copying a record costs less than a second write. */
const atOnceBytes = 64 * 2 ** 10;

/**
 * What earlier builds left for later ones, on disk. Deleting it costs time alone: whoever reads it can do without.
 *
 * Any number of processes read and write one index at once, without locks: a record is replaced as a whole. A record that
 * was written survives a kill of its process. A crash of the machine may lose records that were written shortly before;
 * it never leaves a wrong one, since every record carries a checksum.
 *
 * No method throws for what is on disk: what cannot be read is missing, what cannot be written is left out, and
 * {@link problems} says so. A kind or key that is none is a `TypeError`.
 */
export interface CacheIndex {
  readonly dir: string;
  /** False under `KILN_CACHE=off`, `0` or `false`: reads find nothing, writes do nothing. */
  readonly enabled: boolean;
  /**
   * The record's JSON value, or `undefined` where there is none. One that is damaged is set aside and counts as missing,
   * one that a later Kiln wrote stays, unread. Reading marks it as used (once an hour), but for `builds`, which are
   * as old as they are.
   */
  read(kind: RecordKind, key: string): Promise<unknown>;
  /** Whether there is a record, unread: it may turn out to be damaged. Marks it as used as {@link read} does. */
  has(kind: RecordKind, key: string): Promise<boolean>;
  /** Writes a JSON value in place of what was there. Once it resolves, a kill of the process loses nothing. */
  write(kind: RecordKind, key: string, value: unknown): Promise<void>;
  /** As {@link read}, of what {@link writeBytes} wrote. */
  readBytes(kind: RecordKind, key: string): Promise<Buffer | undefined>;
  /** As {@link write}, of bytes. */
  writeBytes(kind: RecordKind, key: string, bytes: Uint8Array): Promise<void>;
  /** Removes a record, if it is there. */
  remove(kind: RecordKind, key: string): Promise<void>;
  /** The records of a kind in no order, unread: one may turn out to be damaged, or be gone. */
  list(kind: RecordKind): AsyncIterable<RecordEntry>;
  /** Content-addressed files, e.g. layers of local trees. */
  readonly blobs: BlobCache;
  /** The first thing that could not be written (`ERR_KILN_OUTPUT_UNWRITABLE`) and read (`ERR_KILN_FILE_UNREADABLE`). */
  readonly problems: readonly KilnError[];
  /** What a build calls at its end: prunes to {@link limits}, once a day at most. Never rejects. */
  autoPrune(): Promise<void>;
  /** How much all that is counted may take. */
  readonly limits: CacheLimits;
  /** Where what is. */
  readonly places: IndexPlaces;
  /** What else of the cache directory counts and is pruned with the index. */
  readonly areas: readonly CacheArea[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** How {@link openCacheIndex} finds and keeps an index. */
export interface CacheIndexOptions {
  /** Kiln's cache directory; the index is in `index/v1` below it. */
  readonly cacheDir: string;
  /** For `KILN_CACHE`, `KILN_CACHE_MAX_BYTES` and `KILN_CACHE_MAX_AGE`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970, by which records are used and grow old. Default the machine's clock. */
  readonly now?: (() => number) | undefined;
  /** What else of the cache directory counts and is pruned with the index. Default nothing. */
  readonly areas?: readonly CacheArea[] | undefined;
}

const hourMs = 3_600_000;
const dayMs = 86_400_000;

/**
 * Opens the index of a cache directory; the disk is touched at the first use.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a setting in the environment that means nothing.
 */
export function openCacheIndex(options: CacheIndexOptions): CacheIndex {
  return new DiskIndex(options);
}

class DiskIndex implements CacheIndex {
  readonly enabled: boolean;
  readonly blobs: BlobCache;
  readonly limits: CacheLimits;
  readonly places: IndexPlaces;
  readonly areas: readonly CacheArea[];
  readonly now: () => number;
  readonly problems: KilnError[] = [];
  #swept: Promise<void> | undefined;
  #mark: string | undefined;

  constructor({ cacheDir, env, now = Date.now, areas = [] }: CacheIndexOptions) {
    const { enabled, limits } = cacheSettings(env);
    this.enabled = enabled;
    this.limits = limits;
    this.now = now;
    this.areas = areas;
    this.places = indexPlaces(cacheDir);
    this.blobs = blobCache({
      dir: this.places.blobs,
      enabled,
      now,
      scratch: async () => {
        await mkdir(this.places.scratch, { recursive: true });
        return this.#scratchFile();
      },
      unwritable: (error) => this.#unwritable(error),
    });
  }

  get dir(): string {
    return this.places.dir;
  }

  async read(kind: RecordKind, key: string): Promise<unknown> {
    const payload = await this.#get({ kind, key }, "json");
    return payload === undefined ? undefined : parseJson(payload);
  }

  async has(kind: RecordKind, key: string): Promise<boolean> {
    const path = this.#pathOf({ kind, key });
    if (!this.enabled) return false;
    let file: FileHandle;
    try {
      file = await open(path, recordFlags);
    } catch {
      return false;
    }
    try {
      const seen = await file.stat();
      if (!seen.isFile()) return false;
      this.#touch({ kind, key }, file.fd, seen);
      return true;
    } finally {
      await file.close();
    }
  }

  async readBytes(kind: RecordKind, key: string): Promise<Buffer | undefined> {
    return this.#get({ kind, key }, "bytes");
  }

  async write(kind: RecordKind, key: string, value: unknown): Promise<void> {
    const text: unknown = JSON.stringify(value);
    if (typeof text !== "string") throw new TypeError(`no JSON value for ${kind}/${key}`);
    await this.#put({ kind, key }, "json", Buffer.from(text));
  }

  async writeBytes(kind: RecordKind, key: string, bytes: Uint8Array): Promise<void> {
    await this.#put({ kind, key }, "bytes", bytes);
  }

  async remove(kind: RecordKind, key: string): Promise<void> {
    const path = this.#pathOf({ kind, key });
    if (!this.enabled) return;
    try {
      await rm(path, { recursive: true, force: true });
    } catch (error) {
      if (!isMissing(error)) this.#unwritable(error);
    }
  }

  async *list(kind: RecordKind): AsyncIterable<RecordEntry> {
    if (!this.enabled) return;
    for await (const { name, bytes, usedAt } of listRecords(this.places.records(kind))) {
      if (isRecordKey(name)) yield { key: name, bytes, usedAt };
    }
  }

  async autoPrune(): Promise<void> {
    if (!this.enabled) return;
    try {
      const now = this.now();
      const last = await stat(this.places.pruned).catch(() => undefined);
      if (last !== undefined && Math.abs(now - last.mtimeMs) < dayMs) return;
      // Marked first, so that builds which end together do not all go through it.
      await mkdir(this.dir, { recursive: true });
      await writeFile(this.places.pruned, "");
      await utimes(this.places.pruned, now / 1000, now / 1000);
      const { pruneIndex } = await import("./prune-index.js");
      await pruneIndex(this);
    } catch (error) {
      this.#unwritable(error);
    }
  }

  async #get(name: RecordName, type: RecordType): Promise<Buffer | undefined> {
    const path = this.#pathOf(name);
    if (!this.enabled) return undefined;
    const found = await readRecord(path, name, (fd, before) => this.#touch(name, fd, before));
    switch (found.state) {
      case "whole":
        return found.type === type ? found.payload : undefined;
      case "damaged":
        this.#setAside(name, path, found.seen);
        return undefined;
      case "unreadable":
        this.#note("ERR_KILN_FILE_UNREADABLE", "read", found.error);
        return undefined;
      case "missing":
      case "newer":
        return undefined;
      default:
        return found satisfies never;
    }
  }

  #touch({ kind }: RecordName, fd: number, before: Stats): void {
    const now = this.now();
    if (kind === "builds" || Math.abs(now - before.mtimeMs) < hourMs) return;
    try {
      futimesSync(fd, now / 1000, now / 1000);
    } catch {
      // It then goes earlier than it might.
    }
  }

  async #put(name: RecordName, type: RecordType, payload: Uint8Array): Promise<void> {
    const path = this.#pathOf(name);
    if (!this.enabled) return;
    try {
      this.#swept ??= sweepScratchDirectories(this.places.scratch);
      await this.#swept;
      const content = encodeRecord(name, type, payload);
      for (let attempt = 1; ; attempt += 1) {
        try {
          await this.#place(path, content);
          return;
        } catch (error) {
          if (attempt === 3 || !(await this.#makeRoom(name, path, error))) throw error;
        }
      }
    } catch (error) {
      this.#unwritable(error);
    }
  }

  async #place(path: string, content: readonly Uint8Array[]): Promise<void> {
    const scratch = this.#scratchFile();
    const file = await open(scratch, "wx");
    try {
      try {
        // A large one is not copied for the sake of one write.
        const isLarge = content.reduce((sum, { length }) => sum + length, 0) > atOnceBytes;
        for (const part of isLarge ? content : [Buffer.concat(content)]) await file.writeFile(part);
      } finally {
        await file.close();
      }
      await rename(scratch, path);
    } catch (error) {
      await rm(scratch, { force: true });
      throw error;
    }
  }

  /** Removes what kept a record from its place, and says whether it may be worth another try. */
  async #makeRoom({ kind, key }: RecordName, path: string, error: unknown): Promise<boolean> {
    if (systemErrorCode(error) === "ENOENT") {
      // At the first write, and when somebody deleted the cache meanwhile.
      await mkdir(this.places.scratch, { recursive: true });
      await mkdir(this.places.records(kind), { recursive: true });
      return true;
    }
    const there = await lstat(path).catch(() => undefined);
    if (there?.isDirectory() !== true) return false;
    this.#setAside({ kind, key }, path, there);
    return true;
  }

  #setAside({ kind, key }: RecordName, path: string, seen: SeenFile): void {
    try {
      const { damaged } = this.places;
      setAside(path, { damaged, label: `${kind}.${key}`, seen, now: this.now() });
    } catch (error) {
      this.#unwritable(error);
    }
  }

  #scratchFile(): string {
    this.#mark ??= processMark();
    return join(this.places.scratch, `${this.#mark}.${randomId()}`);
  }

  #pathOf({ kind, key }: RecordName): string {
    if (isRecordKey(key)) return join(this.places.records(kind), key);
    throw new TypeError(`no key of a record: ${JSON.stringify(key)}`);
  }

  #unwritable(error: unknown): KilnError {
    return this.#note("ERR_KILN_OUTPUT_UNWRITABLE", "write", error);
  }

  #note(
    code: "ERR_KILN_OUTPUT_UNWRITABLE" | "ERR_KILN_FILE_UNREADABLE",
    what: "read" | "write",
    cause: unknown,
  ): KilnError {
    const problem = new KilnError(code, `cannot ${what} the cache in ${this.dir}: ${systemReason(cause)}`, {
      hint: "Builds do without it, and cost more. Check its owner and the free space, or set KILN_CACHE_DIR.",
      cause,
    });
    if (!this.problems.some((one) => one.code === code)) this.problems.push(problem);
    return problem;
  }
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString("utf8"));
  } catch {
    // Whole, yet not of our making.
    return undefined;
  }
}

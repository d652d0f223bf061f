import type { Pacer } from "../../fsutil/pacer.js";
import type { WorkerPool } from "../../internal/worker-pool.js";
import { packBatch, resultAt } from "./hash-batch.js";
import { FileHasher, type FileMark, type HashedFile } from "./hash-file.js";
import type { ScanAnswer, ScanTask } from "./scan-worker.js";

const BATCH_FILES = 256;
const BATCH_BYTES = 4 * 1024 * 1024;
/** Batches that may be under way for each thread: one is read while the next waits. */
const BATCHES_A_THREAD = 2;
/** Up to this much is read where it is: starting a thread costs as much. */
const ALONE_FILES = 1024;
const ALONE_BYTES = 16 * 1024 * 1024;

/** A file whose content is wanted. */
export interface FileToHash {
  readonly entry: number;
  /** The directory it is in, by its number. */
  readonly directory: number;
  readonly absolute: string;
  readonly size: number;
  /** How often it has turned out to be another file than was expected. */
  readonly attempts: number;
}

/** How a {@link HashQueue} reads. */
export interface HashQueueOptions {
  /** Threads that help; `undefined` reads everything in this one. */
  readonly pool: WorkerPool<ScanTask, ScanAnswer> | undefined;
  /** Uses threads for few files too. */
  readonly always: boolean;
  readonly pacer: Pacer;
  readonly signal: AbortSignal | undefined;
  /** The stat of an entry from before it is read. */
  readonly markOf: (entry: number) => FileMark;
  /** Takes each result; may add files. Throws to end it all. */
  readonly take: (file: FileToHash, result: HashedFile) => void;
}

/** Reads files for their sha256: few in this thread, in slices; many in this one and in others, in batches. */
export class HashQueue {
  readonly #options: HashQueueOptions;
  readonly #hasher = new FileHasher();
  readonly #running = new Set<Promise<void>>();
  readonly #waiting: FileToHash[] = [];
  #bytes = 0;
  #threaded: boolean;
  #failure: { readonly reason: unknown } | undefined;

  constructor(options: HashQueueOptions) {
    this.#options = options;
    this.#threaded = options.always && options.pool !== undefined;
  }

  /** Adds a file. */
  add(file: FileToHash): void {
    this.#waiting.push(file);
    this.#bytes += file.size;
    const many = this.#waiting.length > ALONE_FILES || this.#bytes > ALONE_BYTES;
    if (many && this.#options.pool !== undefined) this.#threaded = true;
  }

  /** Hands on what waits, and reads some of it when threads have enough. Rejects with what went wrong. */
  async room(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.reason;
    const { pool } = this.#options;
    if (pool !== undefined && !this.#threaded) return;
    while (this.#waiting.length >= BATCH_FILES || this.#bytes >= BATCH_BYTES) await this.#next();
  }

  /** Reads all that is left. Rejects with what went wrong. */
  async finish(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.reason;
      if (this.#waiting.length > 0) await this.#next();
      else if (this.#running.size > 0) await Promise.race(this.#running);
      else return;
    }
  }

  /** Waits until nothing is under way, however it ends. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #next(): Promise<void> {
    const { pool } = this.#options;
    const files = this.#batch();
    if (pool === undefined || !this.#threaded || this.#running.size >= BATCHES_A_THREAD * pool.size) {
      await this.#read(files);
      return;
    }
    const work = this.#inThread(files).catch((reason: unknown) => {
      this.#failure ??= { reason };
    });
    this.#running.add(work);
    void work.then(() => this.#running.delete(work));
  }

  #batch(): readonly FileToHash[] {
    let bytes = 0;
    let count = 0;
    while (count < BATCH_FILES && bytes < BATCH_BYTES && count < this.#waiting.length) {
      bytes += this.#waiting[count]?.size ?? 0;
      count += 1;
    }
    this.#bytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  async #inThread(files: readonly FileToHash[]): Promise<void> {
    const { pool, signal, markOf, take } = this.#options;
    const task = packBatch(files.map(({ entry, absolute }) => ({ absolute, mark: markOf(entry) })));
    let answer: ScanAnswer;
    try {
      answer = await pool?.run(task, { transfer: [task.marks.buffer as ArrayBuffer], signal });
    } catch {
      signal?.throwIfAborted();
    }
    // Where a thread cannot be started (a bundle without its module), reading takes longer, no more.
    if (answer === undefined || "digest" in answer) await this.#read(files);
    else for (const [index, file] of files.entries()) take(file, resultAt(answer, index));
  }

  async #read(files: readonly FileToHash[]): Promise<void> {
    const { pacer, signal, markOf, take } = this.#options;
    for (const file of files) {
      take(file, await pacer.drive(this.#hasher.hash(file.absolute, markOf(file.entry)), signal));
    }
  }
}

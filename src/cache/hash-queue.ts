import type { Pacer } from "../fsutil/pacer.js";
import type { WorkerPool } from "../internal/worker-pool.js";
import { packBatch, resultAt } from "./hash-batch.js";
import { FileHasher, type FileMark, type HashedFile } from "./hash-file.js";
import type { ScanAnswer, ScanTask } from "./scan-worker.js";

const BATCH_FILES = 256;
const BATCH_BYTES = 4 * 1024 * 1024;
/** Batches that may be under way for each thread. */
const BATCHES_A_THREAD = 3;
/** Up to this much is read where it is: starting a thread costs as much. */
const ALONE_FILES = 1024;
const ALONE_BYTES = 16 * 1024 * 1024;

/** A file whose content is wanted. */
export interface FileToHash {
  readonly entry: number;
  /** The directory it is in, by its number. */
  readonly directory: number;
  readonly absolute: string;
  readonly mark: FileMark;
  /** How often it has turned out to be another file than was expected. */
  readonly attempts: number;
}

/** How a {@link HashQueue} reads. */
export interface HashQueueOptions {
  /** `undefined` reads everything in this thread. */
  readonly pool: WorkerPool<ScanTask, ScanAnswer> | undefined;
  /** Uses threads for few files too. */
  readonly always: boolean;
  readonly pacer: Pacer;
  readonly signal: AbortSignal | undefined;
  /** Takes each result; may add files. Throws to end it all. */
  readonly take: (file: FileToHash, result: HashedFile) => void;
}

/** Reads files for their sha256: few in this thread, in slices; many in threads, in batches. */
export class HashQueue {
  readonly #options: HashQueueOptions;
  readonly #hasher = new FileHasher();
  readonly #running = new Set<Promise<void>>();
  #waiting: FileToHash[] = [];
  #bytes = 0;
  #threaded = false;
  #failure: { readonly reason: unknown } | undefined;

  constructor(options: HashQueueOptions) {
    this.#options = options;
    this.#threaded = options.always && options.pool !== undefined;
  }

  /** Adds a file. */
  add(file: FileToHash): void {
    this.#waiting.push(file);
    this.#bytes += file.mark.size;
    if (this.#options.pool === undefined) return;
    if (this.#waiting.length > ALONE_FILES || this.#bytes > ALONE_BYTES) this.#threaded = true;
    if (this.#threaded && (this.#waiting.length >= BATCH_FILES || this.#bytes >= BATCH_BYTES)) this.#send();
  }

  /** Waits while too much is under way, or waits to be read. Rejects with what went wrong. */
  async room(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.reason;
    const { pool } = this.#options;
    if (pool === undefined && this.#waiting.length > ALONE_FILES) await this.#readAlone();
    while (pool !== undefined && this.#running.size >= BATCHES_A_THREAD * pool.size) {
      await Promise.race(this.#running);
      this.#options.pacer.begin();
    }
  }

  /** Waits until everything is read. Rejects with what went wrong. */
  async finish(): Promise<void> {
    while (this.#failure === undefined && (this.#running.size > 0 || this.#waiting.length > 0)) {
      if (!this.#threaded) await this.#readAlone();
      else if (this.#waiting.length > 0) this.#send();
      else await Promise.race(this.#running);
    }
    if (this.#failure !== undefined) throw this.#failure.reason;
  }

  /** Waits until nothing is under way, however it ends. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Hands what waits to threads: batches of many small files or one large. */
  #send(): void {
    while (this.#waiting.length > 0) {
      let bytes = 0;
      let count = 0;
      while (count < BATCH_FILES && bytes < BATCH_BYTES && count < this.#waiting.length) {
        bytes += this.#waiting[count]?.mark.size ?? 0;
        count += 1;
      }
      const work = this.#inThread(this.#waiting.splice(0, count)).catch((reason: unknown) => {
        this.#failure ??= { reason };
      });
      this.#running.add(work);
      void work.then(() => this.#running.delete(work));
    }
    this.#bytes = 0;
  }

  async #inThread(files: readonly FileToHash[]): Promise<void> {
    const { pool, signal, take } = this.#options;
    const task = packBatch(files);
    let answer: ScanAnswer;
    try {
      answer = await pool?.run(task, { transfer: [task.marks.buffer as ArrayBuffer], signal });
    } catch {
      signal?.throwIfAborted();
    }
    // Where a thread cannot be started (a bundle without its module), reading takes longer, no more.
    if (answer === undefined) await this.#read(files);
    else for (const [index, file] of files.entries()) take(file, resultAt(answer, index));
  }

  async #readAlone(): Promise<void> {
    const files = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    await this.#read(files);
  }

  async #read(files: readonly FileToHash[]): Promise<void> {
    const { pacer, signal, take } = this.#options;
    for (const file of files) {
      const work = this.#hasher.hash(file.absolute, file.mark);
      for (let step = work.next(); ; step = work.next()) {
        if (step.done === true) {
          take(file, step.value);
          break;
        }
        if (pacer.due()) await pacer.rest();
        signal?.throwIfAborted();
      }
      if (pacer.due()) await pacer.rest();
      signal?.throwIfAborted();
    }
  }
}

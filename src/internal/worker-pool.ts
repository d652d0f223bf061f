import type { TransferListItem } from "node:worker_threads";
import { type RunOptions, WorkerThreads } from "./worker-threads.js";

/** Threads of this process for all its work. */
const ofThisProcess = new WorkerThreads();

/** Hands one kind of task to threads. See {@link WorkerThreads}, which pools have in common. */
export class WorkerPool<Request, Response> {
  readonly #entry: URL;
  readonly #threads: WorkerThreads;

  /**
   * @param entry - The module that does the work: it exports what {@link serveWorker} returns, as `worker`.
   * @param threads - Default: those that all pools of the process share.
   */
  constructor(entry: URL, threads: WorkerThreads = ofThisProcess) {
    this.#entry = entry;
    this.#threads = threads;
  }

  /** Threads at most, for all kinds of tasks together. */
  get size(): number {
    return this.#threads.size;
  }

  /** Runs one task. Rejects as {@link WorkerThreads.run} does. */
  async run(request: Request, options: RunOptions = {}): Promise<Response> {
    return (await this.#threads.run(this.#entry, request, options)) as Response;
  }
}

/** What the module of a {@link WorkerPool} exports as `worker`. */
export interface ServedWorker<Request, Response> {
  readonly handle: (request: Request) => Response | Promise<Response>;
  /** Buffers of an answer that move instead of being copied. */
  readonly transferOf: (response: Response) => readonly TransferListItem[];
}

/** Answers the tasks of a {@link WorkerPool}, in the thread's own module. */
export function serveWorker<Request, Response>(
  handle: (request: Request) => Response | Promise<Response>,
  transferOf: (response: Response) => readonly TransferListItem[] = () => [],
): ServedWorker<Request, Response> {
  return { handle, transferOf };
}

/** The module of a worker thread that stands beside the caller's in the sources, and in `threads` in the package. */
export function workerEntry(name: string, callerUrl: string): URL {
  return new URL(callerUrl.endsWith(".ts") ? `./${name}.ts` : `../threads/${name}.js`, callerUrl);
}

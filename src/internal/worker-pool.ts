import { availableParallelism } from "node:os";
import { parentPort, type ResourceLimits, type TransferListItem, Worker } from "node:worker_threads";

/** How a {@link WorkerPool} runs. */
export interface WorkerPoolOptions {
  /** Threads at most. Default: one a core, four at most. */
  readonly size?: number | undefined;
  /** How long a thread without work is kept, in milliseconds. It never keeps the process alive. Default 5,000. */
  readonly idleMs?: number | undefined;
  /** Memory of a thread for objects that live shortly, in MiB. Default: Node's, which grows to 48. */
  readonly youngMib?: number | undefined;
}

/** How {@link WorkerPool.run} hands over one task. */
export interface RunOptions {
  /** Buffers that move to the thread instead of being copied. */
  readonly transfer?: readonly TransferListItem[] | undefined;
  /** Rejects with its reason; a task that has begun then ends with its thread. */
  readonly signal?: AbortSignal | undefined;
}

interface Task {
  readonly request: unknown;
  readonly transfer: readonly TransferListItem[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
  idle: NodeJS.Timeout | undefined;
}

/**
 * Threads that each run one task at a time, started when there is work for them.
 *
 * The module at `entry` calls {@link serveWorker}. What its handler throws rejects the task, with name, message and `code`
 * kept; a thread that dies rejects its task and is replaced. While a task runs, the process stays alive.
 */
export class WorkerPool<Request, Response> {
  readonly #entry: URL;
  readonly #size: number;
  readonly #idleMs: number;
  readonly #limits: ResourceLimits;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Task[] = [];

  constructor(entry: URL, options: WorkerPoolOptions = {}) {
    this.#entry = entry;
    this.#size = options.size ?? Math.min(4, availableParallelism());
    this.#idleMs = options.idleMs ?? 5_000;
    this.#limits = options.youngMib === undefined ? {} : { maxYoungGenerationSizeMb: options.youngMib };
  }

  /** Threads at most. */
  get size(): number {
    return this.#size;
  }

  /** Runs one task on the first thread that is free. */
  run(request: Request, options: RunOptions = {}): Promise<Response> {
    const { signal, transfer = [] } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason as unknown);
    return new Promise<Response>((resolve, reject) => {
      const abort = (): void => this.#cancel(task, signal?.reason);
      const done = (): void => signal?.removeEventListener("abort", abort);
      const task: Task = {
        request,
        transfer,
        resolve(value) {
          done();
          resolve(value as Response);
        },
        reject(reason) {
          done();
          reject(reason);
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.push(task);
      this.#next();
    });
  }

  /** Ends all threads; tasks that have not ended are rejected. */
  async close(): Promise<void> {
    for (const task of this.#waiting.splice(0)) task.reject(new Error("the worker pool was closed"));
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }

  #next(): void {
    if (this.#waiting.length === 0) return;
    let thread = [...this.#threads].find(({ task }) => task === undefined);
    if (thread === undefined && this.#threads.size < this.#size) thread = this.#start();
    const task = thread === undefined ? undefined : this.#waiting.shift();
    if (thread === undefined || task === undefined) return;
    clearTimeout(thread.idle);
    thread.task = task;
    thread.worker.ref();
    thread.worker.postMessage(task.request, task.transfer);
  }

  #start(): Thread {
    const worker = startWorker(this.#entry, this.#limits);
    const thread: Thread = { worker, task: undefined, idle: undefined };
    this.#threads.add(thread);
    worker.on("message", (answer: Answer) => {
      const { task } = thread;
      thread.task = undefined;
      worker.unref();
      // Once it is being ended it must get no task any more.
      if (this.#threads.has(thread)) thread.idle = setTimeout(() => this.#end(thread), this.#idleMs).unref();
      if ("value" in answer) task?.resolve(answer.value);
      else task?.reject(Object.assign(new Error(answer.error.message), answer.error));
      this.#next();
    });
    const gone = (error: unknown): void => {
      if (!this.#threads.delete(thread)) return;
      clearTimeout(thread.idle);
      thread.task?.reject(error);
      this.#next();
    };
    worker.on("error", gone);
    worker.on("exit", (code) => gone(new Error(`a worker thread ended with ${code}`)));
    return thread;
  }

  #cancel(task: Task, reason: unknown): void {
    const index = this.#waiting.indexOf(task);
    if (index >= 0) this.#waiting.splice(index, 1);
    const thread = [...this.#threads].find((one) => one.task === task);
    task.reject(reason);
    if (thread === undefined) return;
    this.#end(thread);
    this.#next();
  }

  #end(thread: Thread): void {
    this.#threads.delete(thread);
    clearTimeout(thread.idle);
    void thread.worker.terminate();
  }
}

type Answer =
  | { readonly value: unknown }
  | { readonly error: { readonly name: string; readonly message: string; readonly code?: unknown } };

/** Answers the tasks of a {@link WorkerPool}, in the thread's own module. Throws outside of a worker thread. */
export function serveWorker<Request, Response>(
  handle: (request: Request) => Response | Promise<Response>,
  transferOf: (response: Response) => readonly TransferListItem[] = () => [],
): void {
  const port = parentPort;
  if (port === null) throw new TypeError("serveWorker is for worker threads");
  port.on("message", (request: Request) => {
    void (async () => {
      try {
        const value = await handle(request);
        port.postMessage({ value }, transferOf(value));
      } catch (error) {
        const { name, message } = error instanceof Error ? error : new Error(String(error));
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        port.postMessage({ error: { name, message, code } });
      }
    })();
  });
}

/** The module of a worker thread that stands beside the caller's in the sources, and in `threads` in the package. */
export function workerEntry(name: string, callerUrl: string): URL {
  return new URL(callerUrl.endsWith(".ts") ? `./${name}.ts` : `../threads/${name}.js`, callerUrl);
}

/** Node runs no TypeScript by itself: from the sources, the loader that recipes have loads the module. */
function startWorker(entry: URL, resourceLimits: ResourceLimits): Worker {
  if (!entry.pathname.endsWith(".ts")) return new Worker(entry, { resourceLimits });
  const code = `
    const { workerData } = require("node:worker_threads");
    require("jiti").createJiti(workerData.entry, { fsCache: false }).import(workerData.entry);
  `;
  return new Worker(code, { eval: true, resourceLimits, workerData: { entry: entry.href } });
}

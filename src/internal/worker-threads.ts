import { availableParallelism } from "node:os";
import { type ResourceLimits, type TransferListItem, Worker } from "node:worker_threads";

/** How {@link WorkerThreads} are kept. */
export interface WorkerThreadsOptions {
  /** Threads at most. Default: one a core but one, as the main thread works as well; at least one, three at most. */
  readonly size?: number | undefined;
  /** How long a thread without work is kept, in milliseconds. It never keeps the process alive. Default 1,000. */
  readonly idleMs?: number | undefined;
}

/** How {@link WorkerThreads.run} hands over one task. */
export interface RunOptions {
  /** Buffers that move to the thread instead of being copied. */
  readonly transfer?: readonly TransferListItem[] | undefined;
  /** Rejects with its reason; a task that has begun then ends with its thread. */
  readonly signal?: AbortSignal | undefined;
}

/** What a thread is sent: the module that does the work, and for what. */
interface Order {
  readonly entry: string;
  readonly request: unknown;
}

interface Task {
  readonly order: Order;
  readonly transfer: readonly TransferListItem[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
  idle: NodeJS.Timeout | undefined;
}

/** Memory of a thread for what it throws away at once, in MiB. Node's default grows to 48, most of it used once and kept. */
const YOUNG_MIB = 2;
const IDLE_MS = 1_000;

/**
 * Threads that each run one task at a time, of whatever kind, started when there is work for them: an empty thread takes
 * as much memory as most work does, so that those for one kind of task serve the next kind too.
 *
 * A task names the module that does it, which makes itself known with `serveWorker` and stays loaded in its thread. What
 * it throws rejects the task, with name, message and `code` kept; a thread that dies rejects its task and is replaced.
 * While a task runs, the process stays alive.
 */
export class WorkerThreads {
  readonly #size: number;
  readonly #idleMs: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Task[] = [];

  constructor({ size, idleMs }: WorkerThreadsOptions = {}) {
    this.#size = size ?? Math.min(3, Math.max(1, availableParallelism() - 1));
    this.#idleMs = idleMs ?? IDLE_MS;
  }

  /** Threads at most. */
  get size(): number {
    return this.#size;
  }

  /** Runs one task on the first thread that is free, in the order in which they are asked for. */
  run(entry: URL, request: unknown, { signal, transfer = [] }: RunOptions = {}): Promise<unknown> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as unknown);
    return new Promise<unknown>((resolve, reject) => {
      const abort = (): void => this.#cancel(task, signal?.reason);
      const done = (): void => signal?.removeEventListener("abort", abort);
      const task: Task = {
        order: { entry: entry.href, request },
        transfer,
        resolve(value) {
          done();
          resolve(value);
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
    for (const task of this.#waiting.splice(0)) task.reject(new Error("the worker threads were closed"));
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
    thread.worker.postMessage(task.order, task.transfer);
  }

  #start(): Thread {
    const worker = startWorker();
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

/** Loads modules and hands them their tasks. Node runs no TypeScript by itself: the loader that recipes have does. */
const LOOP = `
  const { parentPort } = require("node:worker_threads");
  const loaded = new Map();
  const load = (entry) => {
    const known = loaded.get(entry);
    if (known !== undefined) return known;
    const module = entry.endsWith(".ts")
      ? require("jiti").createJiti(entry, { fsCache: false }).import(entry)
      : import(entry);
    loaded.set(entry, module);
    return module;
  };
  parentPort.on("message", async ({ entry, request }) => {
    try {
      const { worker } = await load(entry);
      const value = await worker.handle(request);
      parentPort.postMessage({ value }, worker.transferOf(value));
    } catch (error) {
      const { name, message, code } = error instanceof Error ? error : new Error(String(error));
      parentPort.postMessage({ error: { name, message, code } });
    }
  });
`;

function startWorker(): Worker {
  const resourceLimits: ResourceLimits = { maxYoungGenerationSizeMb: YOUNG_MIB };
  return new Worker(LOOP, { eval: true, resourceLimits });
}

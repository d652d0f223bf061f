import { Readable, Writable } from "node:stream";
import type { ExecMessage, ExecMessageSchema } from "../../gen/moby/buildkit/v1/frontend/gateway_pb.js";
import { createDeferred } from "../../internal/deferred.js";
import { checkInteger, checkName } from "../../llb/check-argument.js";
import { RpcError } from "../../rpc/rpc-error.js";
import { statusDetails } from "../../rpc/status-details.js";
import type { TypedStream } from "../../rpc/typed-stream.js";

/** Most bytes put into one message; well under the 16 MiB limit. */
const messageBytes = 1024 * 1024;

type Input = ExecMessage["Input"];
type ExecStream = TypedStream<typeof ExecMessageSchema, typeof ExecMessageSchema>;

/** How a process ended. */
export interface ProcessExit {
  /** Its exit code; of a process that a signal ended, 128 and the signal's number. */
  readonly code: number;
}

/** What connects a {@link Process}. */
export interface ProcessPipes {
  readonly id: string;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/**
 * A process in a gateway container.
 *
 * As with Node's child processes, output that nobody reads stops the process once the buffers are full: read it, or
 * start the process without it.
 */
export class Process {
  /** The daemon's name of it. */
  readonly id: string;
  /** What the process reads; ending it is its end of file. `null` if it was started without. */
  readonly stdin: Writable | null;
  /** What the process writes; with a terminal, its errors too. `null` if it was started without. */
  readonly stdout: Readable | null;
  /** What the process writes to its errors. `null` if it was started without, or with a terminal. */
  readonly stderr: Readable | null;
  /**
   * Resolves when the process has ended, with its exit code, whichever it is.
   *
   * Rejects with `RpcError` if it could not be run or its end is not known, e.g. because the container was released.
   */
  readonly exited: Promise<ProcessExit>;
  readonly #stream: ExecStream;

  /** For {@link startProcess}. */
  constructor(stream: ExecStream, pipes: ProcessPipes, exited: Promise<ProcessExit>, onRead: () => void) {
    this.id = pipes.id;
    this.exited = exited;
    this.#stream = stream;
    this.stdin = pipes.stdin ? this.#createStdin() : null;
    this.stdout = pipes.stdout ? new Readable({ read: onRead }) : null;
    this.stderr = pipes.stderr ? new Readable({ read: onRead }) : null;
  }

  /** Tells the process's terminal its size. Throws `ERR_KILN_INVALID_ARGUMENT`. */
  async resize(size: { readonly rows: number; readonly columns: number }): Promise<void> {
    const Rows = checkInteger("resize()", "rows", size.rows, 0, 0xffff);
    const Cols = checkInteger("resize()", "columns", size.columns, 0, 0xffff);
    await this.#send({ case: "Resize", value: { Rows, Cols } as never });
  }

  /**
   * Sends a signal by name, e.g. `SIGINT` or `INT`. A name that the daemon does not know ends the process.
   *
   * Throws `ERR_KILN_INVALID_ARGUMENT`.
   */
  async signal(name: string): Promise<void> {
    const Name = checkName("signal()", "name", name).replace(/^SIG/, "");
    await this.#send({ case: "Signal", value: { Name } as never });
  }

  #send(Input: Input): Promise<void> {
    return this.#stream.send({ ProcessID: this.id, Input });
  }

  #createStdin(): Writable {
    const write = async (chunk: Buffer): Promise<void> => {
      for (let start = 0; start < chunk.length; start += messageBytes) {
        const Data = chunk.subarray(start, start + messageBytes);
        await this.#send({ case: "File", value: { Fd: 0, EOF: false, Data } as never });
      }
    };
    return new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        write(chunk).then(() => callback(), callback);
      },
      final: (callback) => {
        this.#send({ case: "File", value: { Fd: 0, EOF: true } as never }).then(() => callback(), callback);
      },
    });
  }
}

/**
 * Takes over a stream on which a process was started, until it is done.
 *
 * Resolves once the daemon says that it runs; rejects with what the daemon refused it with.
 */
export async function startProcess(stream: ExecStream, pipes: ProcessPipes): Promise<Process> {
  const started = createDeferred<void>();
  const exited = createDeferred<ProcessExit>();
  exited.promise.catch(() => {});
  let resume: (() => void) | undefined;
  const child = new Process(stream, pipes, exited.promise, () => {
    resume?.();
    resume = undefined;
  });
  // A write after the end is no failure of the process: what it has not read is lost with it.
  child.stdin?.on("error", () => {});
  // Who reads them gets their errors; to all others `exited` tells the same.
  for (const output of [child.stdout, child.stderr]) output?.on("error", () => {});
  const outputOf = (fd: number): Readable | null => (fd === 1 ? child.stdout : child.stderr);
  const take = async (): Promise<void> => {
    for await (const { Input: message } of stream) {
      switch (message.case) {
        case "Started":
          started.resolve();
          break;
        case "File": {
          const output = outputOf(message.value.Fd);
          if (output === null) break;
          if (message.value.EOF) output.push(null);
          else if (!output.push(message.value.Data)) {
            await new Promise<void>((resolve) => {
              resume = resolve;
            });
          }
          break;
        }
        case "Exit":
          settleExit(message.value, exited);
          break;
        case "Done":
          return;
        default:
      }
    }
  };
  const finish = (error: unknown): void => {
    started.reject(error);
    exited.reject(error);
    for (const output of [child.stdout, child.stderr]) {
      if (output === null || output.readableEnded) continue;
      if (error === undefined) output.push(null);
      else output.destroy(error as Error);
    }
    child.stdin?.destroy();
  };
  take().then(
    () => {
      exited.reject(new RpcError("ERR_KILN_RPC", "the daemon did not say how the process ended", unknownEnd));
      finish(undefined);
    },
    (error: unknown) => finish(error),
  );
  await started.promise;
  return child;
}

const unknownEnd = { status: 2, details: [] };

function settleExit(
  exit: Extract<Input, { case: "Exit" }>["value"],
  exited: { resolve: (exit: ProcessExit) => void; reject: (error: unknown) => void },
): void {
  const details = statusDetails(exit.Error?.details ?? []);
  const ended = exit.Error === undefined || details.some(({ kind }) => kind === "exitMessage");
  // 255 also stands for an end that is not known: only with the process's own message is it an exit code.
  if (ended || exit.Code !== 255) exited.resolve({ code: exit.Code });
  else {
    const message = exit.Error?.message ?? "";
    exited.reject(new RpcError("ERR_KILN_RPC", message, { status: exit.Error?.code ?? 2, details }));
  }
}

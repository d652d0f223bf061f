import { KilnError, type KilnErrorCode, type KilnErrorOptions } from "../errors.js";
import type { LogClip } from "../model/events.js";
import type { FailedSource } from "./failed-source.js";

/** The chain step a failure belongs to. */
export interface FailedStep {
  /** 0-based position in the chain. */
  readonly index: number;
  /** The step definition's id, e.g. `runCommands`. */
  readonly id: string;
  readonly title: string;
}

/** What a {@link SolveError} knows beyond message and code; all of it optional, none of it guessed. */
export interface SolveErrorOptions extends KilnErrorOptions {
  readonly vertex?: string | undefined;
  readonly vertexName?: string | undefined;
  readonly exitCode?: number | undefined;
  readonly logTail?: readonly string[] | undefined;
  readonly logClips?: readonly LogClip[] | undefined;
  readonly command?: string | undefined;
  readonly step?: FailedStep | undefined;
  readonly failedOp?: FailedOp | undefined;
  readonly sources?: readonly FailedSource[] | undefined;
}

/** What a gateway build can reopen of a failed op: see `Gateway.reopen`. Valid within that build. */
export interface FailedOp {
  /** The daemon's ids of the filesystems that the op started from. */
  readonly inputIds: readonly string[];
  /** The daemon's ids of the op's mounts as it left them, in the order of the op's mounts. */
  readonly mountIds: readonly string[];
  /** The op in protobuf's JSON. */
  readonly op: unknown;
}

/**
 * A solve that the daemon ended with an error.
 *
 * `ERR_KILN_STEP_FAILED` when a command ran and exited with a code that the step does not allow,
 * `ERR_KILN_SOLVE_FAILED` and the more special codes for everything else.
 */
export class SolveError extends KilnError {
  /** Digest of the op that failed. */
  readonly vertex: string | undefined;
  /** The daemon's name of that op. */
  readonly vertexName: string | undefined;
  /** Exit code of the command; `undefined` when no command failed or it was killed before it had one. */
  readonly exitCode: number | undefined;
  /** The last lines that the op printed, oldest first. */
  readonly logTail: readonly string[];
  /** Limits of the daemon's that cut the op's output: lines are missing, though mostly not at the end. */
  readonly logClips: readonly LogClip[];
  /** The command as the user wrote it. */
  readonly command: string | undefined;
  readonly step: FailedStep | undefined;
  /** Known for failures within a gateway build. */
  readonly failedOp: FailedOp | undefined;
  /** Where the op comes from in the text that a frontend or a source map names, the nearest place first. */
  readonly sources: readonly FailedSource[];

  constructor(code: KilnErrorCode, message: string, options: SolveErrorOptions = {}) {
    super(code, message, options);
    this.name = "SolveError";
    this.vertex = options.vertex;
    this.vertexName = options.vertexName;
    this.exitCode = options.exitCode;
    this.logTail = options.logTail ?? [];
    this.logClips = options.logClips ?? [];
    this.command = options.command;
    this.step = options.step;
    this.failedOp = options.failedOp;
    this.sources = options.sources ?? [];
  }
}

import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type ExecOp, type Op, OpSchema } from "../../gen/pb/ops_pb.js";
import { wrongArgument } from "../../llb/check-argument.js";
import { SolveError } from "../solve-error.js";
import type { ProcessOptions } from "./container.js";
import type { ContainerRequest } from "./container-request.js";

/** What a failed command is made of, to look at what it left. */
export interface FailedCommand {
  readonly container: ContainerRequest;
  /** The command that failed, to start it or another one as it was. */
  readonly process: ProcessOptions;
}

/**
 * The container and command of an op that failed.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for an error that is no failed command of a gateway build.
 */
export function failedCommand(call: string, error: unknown): FailedCommand {
  const failed = error instanceof SolveError ? error.failedOp : undefined;
  const exec = failed === undefined ? undefined : execOf(failed.op);
  const mountIds = failed?.mountIds ?? [];
  if (exec === undefined || mountIds.length === 0) {
    throw wrongArgument(
      call,
      "the error is not that of a command of this build",
      "Pass the SolveError of this build's gateway.solve(), ref.evaluate() or another read, of a command that failed.",
    );
  }
  const { meta } = exec;
  return {
    container: {
      mounts: exec.mounts.map((mount, index) => ({ ...mount, resultID: mountIds[index] ?? "" })),
      network: exec.network,
      hostname: meta?.hostname,
      extraHosts: (meta?.extraHosts ?? []).map(({ Host, IP }) => ({ host: Host, ip: IP })),
    },
    process: {
      args: meta?.args ?? [],
      env: Object.fromEntries(
        (meta?.env ?? []).map((line) => [
          line.slice(0, line.indexOf("=")),
          line.slice(line.indexOf("=") + 1),
        ]),
      ),
      cwd: meta?.cwd || "/",
      user: meta?.user ?? "",
      security: exec.security === 1 ? "insecure" : "sandbox",
      secretEnv: exec.secretenv.map(({ ID, name, optional }) => ({ id: ID, name, optional })),
    },
  };
}

function execOf(json: unknown): ExecOp | undefined {
  let op: Op;
  try {
    op = fromJson(OpSchema, json as JsonValue, { ignoreUnknownFields: true });
  } catch {
    return undefined;
  }
  return op.op.case === "exec" ? op.op.value : undefined;
}

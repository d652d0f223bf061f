import { type CallSite, KilnError, type KilnErrorCode, type KilnErrorOptions } from "../errors.js";
import { fromJsonData, toJsonData } from "../internal/rich-json.js";
import type { LogClip } from "../model/events.js";
import { RpcError } from "../rpc/rpc-error.js";
import type { StatusDetail } from "../rpc/status-details.js";
import type { FailedSource } from "./failed-source.js";
import { type FailedOp, type FailedStep, SolveError } from "./solve-error.js";

/** Causes of causes beyond this are left out. */
const mostCauses = 8;

/**
 * An error as JSON data, for {@link decodeError} in another process: class, message, stack, causes, and all fields of
 * `KilnError`, `SolveError` and `RpcError`. Of other errors name, message, stack and `code` alone: what else programs hang
 * on them (headers, metadata) may be secret. Throws a `TypeError` for fields that are no data.
 */
export function encodeError(error: unknown): unknown {
  return toJsonData(plain(error, 0));
}

/**
 * The error that {@link encodeError} made `data` of: a `SolveError`, `RpcError`, `KilnError` (its other subclasses become
 * one, with their name) or `Error`. Throws a `TypeError` for data that it did not make.
 */
export function decodeError(data: unknown): Error {
  return errorOf(recordOf(fromJsonData(data)));
}

function plain(error: unknown, depth: number): Readonly<Record<string, unknown>> {
  if (!(error instanceof Error)) return { kind: "error", name: "Error", message: String(error) };
  const { name, message, stack } = error;
  const cause = error.cause === undefined || depth === mostCauses ? undefined : plain(error.cause, depth + 1);
  if (!(error instanceof KilnError)) {
    const code = "code" in error && ["string", "number"].includes(typeof error.code) ? error.code : undefined;
    return { kind: "error", name, message, stack, cause, code };
  }
  const { code, hint, location } = error;
  const common = { kind: "kiln", name, message, stack, cause, code, hint, location };
  if (error instanceof RpcError) {
    const { status, details } = error;
    return { ...common, kind: "rpc", status, details };
  }
  if (!(error instanceof SolveError)) return common;
  const { vertex, vertexName, exitCode, logTail, logClips, command, step, failedOp, sources } = error;
  return {
    ...common,
    kind: "solve",
    ...{ vertex, vertexName, exitCode, logTail, logClips, command, step, failedOp, sources },
  };
}

type Fields = Readonly<Record<string, unknown>>;

function errorOf(fields: Fields): Error {
  const error = made(fields);
  error.name = textOf(fields, "name");
  const stack = maybe(fields, "stack", textOf);
  Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
  return error;
}

function made(fields: Fields): Error {
  const message = textOf(fields, "message");
  const cause = maybe(fields, "cause", (of, key) => errorOf(recordOf(of[key])));
  switch (fields["kind"]) {
    case "error": {
      const error = new Error(message, cause === undefined ? undefined : { cause });
      const { code } = fields;
      return code === undefined ? error : Object.assign(error, { code });
    }
    case "kiln":
      return new KilnError(codeOf(fields), message, optionsOf(fields, cause));
    case "rpc": {
      const code = codeOf(fields);
      if (!isRpcCode(code)) throw wrong("code");
      const status = numberOf(fields, "status");
      const details = listOf(fields, "details", isDetail);
      return new RpcError(code, message, { ...optionsOf(fields, cause), status, details });
    }
    case "solve":
      return new SolveError(codeOf(fields), message, {
        ...optionsOf(fields, cause),
        vertex: maybe(fields, "vertex", textOf),
        vertexName: maybe(fields, "vertexName", textOf),
        exitCode: maybe(fields, "exitCode", numberOf),
        logTail: listOf(fields, "logTail", isText),
        logClips: listOf(fields, "logClips", isLogClip),
        command: maybe(fields, "command", textOf),
        step: maybe(fields, "step", checked(isFailedStep)),
        failedOp: maybe(fields, "failedOp", checked(isFailedOp)),
        sources: listOf(fields, "sources", isFailedSource),
      });
    default:
      throw wrong("kind");
  }
}

function optionsOf(fields: Fields, cause: Error | undefined): KilnErrorOptions {
  return {
    hint: maybe(fields, "hint", textOf),
    location: maybe(fields, "location", checked(isCallSite)),
    cause,
  };
}

function codeOf(fields: Fields): KilnErrorCode {
  const code = textOf(fields, "code");
  // Another version of the package may have more of them.
  if (!/^ERR_KILN_[A-Z0-9_]{1,64}$/.test(code)) throw wrong("code");
  return code as KilnErrorCode;
}

const rpcCodes = [
  "ERR_KILN_RPC",
  "ERR_KILN_CONNECT_FAILED",
  "ERR_KILN_CONNECTION_LOST",
  "ERR_KILN_TLS",
] as const;

function isRpcCode(code: string): code is (typeof rpcCodes)[number] {
  return rpcCodes.some((one) => one === code);
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function recordOf(value: unknown): Fields {
  if (isRecord(value)) return value;
  throw new TypeError("data is no error's");
}

function wrong(key: string): TypeError {
  return new TypeError(`data of an error has a wrong ${key}`);
}

function textOf(fields: Fields, key: string): string {
  return checked(isText)(fields, key);
}

function numberOf(fields: Fields, key: string): number {
  return checked((value): value is number => typeof value === "number")(fields, key);
}

function maybe<T>(fields: Fields, key: string, read: (fields: Fields, key: string) => T): T | undefined {
  return fields[key] === undefined ? undefined : read(fields, key);
}

function checked<T>(is: (value: unknown) => value is T): (fields: Fields, key: string) => T {
  return (fields, key) => {
    const value = fields[key];
    if (is(value)) return value;
    throw wrong(key);
  };
}

function listOf<T>(fields: Fields, key: string, is: (value: unknown) => value is T): readonly T[] {
  return checked((value): value is readonly T[] => Array.isArray(value) && value.every(is))(fields, key);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCallSite(value: unknown): value is CallSite {
  return isRecord(value) && isText(value["file"]) && typeof value["line"] === "number";
}

function isLogClip(value: unknown): value is LogClip {
  return isRecord(value) && isText(value["stream"]) && typeof value["limitBytes"] === "number";
}

function isFailedStep(value: unknown): value is FailedStep {
  return (
    isRecord(value) && typeof value["index"] === "number" && isText(value["id"]) && isText(value["title"])
  );
}

function isFailedOp(value: unknown): value is FailedOp {
  return isRecord(value) && Array.isArray(value["inputIds"]) && Array.isArray(value["mountIds"]);
}

function isFailedSource(value: unknown): value is FailedSource {
  return isRecord(value) && isText(value["filename"]) && Array.isArray(value["ranges"]);
}

function isDetail(value: unknown): value is StatusDetail {
  return isRecord(value) && isText(value["kind"]);
}

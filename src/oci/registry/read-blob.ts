import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { KilnError } from "../../errors.js";
import type { Digest } from "../digest.js";
import type { ClientParts } from "./registry-client.js";
import type { RegistryAnswer } from "./registry-connection.js";
import { failureOf, type Subject, Transient } from "./registry-error.js";
import { withRetries } from "./retry.js";

/** Options of `RegistryClient.readBlob`. */
export interface ReadBlobOptions {
  /** First byte. Default 0. */
  readonly start?: number | undefined;
  /** The byte after the last one. Default: the blob's end. */
  readonly end?: number | undefined;
  /** Bytes of the whole blob, where they are known: more or fewer are refused. */
  readonly size?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** See `RegistryClient.readBlob`. */
export async function* readBlob(
  parts: ClientParts,
  digest: Digest,
  options: ReadBlobOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { start = 0, size, signal } = options;
  const end = options.end ?? size;
  checkRange(start, options.end);
  if (end !== undefined && start >= end && options.end !== undefined) return;
  const subject = { repository: parts.repository, what: `GET ${digest}`, isBlob: true };
  const hash =
    start === 0 && (options.end === undefined || options.end === size) ? createHash("sha256") : undefined;
  let at = start;
  for (let breaks = 0; ; ) {
    const before = at;
    try {
      for await (const bytes of piece(parts, subject, { digest, at, end, signal })) {
        at += bytes.length;
        hash?.update(bytes);
        yield bytes;
      }
      break;
    } catch (error) {
      signal?.throwIfAborted();
      const failure = failureOf(error, subject);
      if (!(failure instanceof Transient)) throw failure;
      breaks = at > before ? 1 : breaks + 1;
      if (breaks > parts.retries) throw failure.error;
      await delay(parts.backoffMs * breaks, undefined, signal === undefined ? {} : { signal }).catch(
        () => {},
      );
    }
  }
  if (end !== undefined && at !== end) {
    throw new KilnError(
      "ERR_KILN_TRUNCATED",
      `${subject.repository}: ${digest} ends after ${at} bytes in place of ${end}`,
      { hint: "The registry's copy is damaged: push the image again." },
    );
  }
  if (hash !== undefined && `sha256:${hash.digest("hex")}` !== digest) {
    throw new KilnError("ERR_KILN_DIGEST_MISMATCH", `${subject.repository}: ${digest} is damaged`, {
      hint: "The registry's copy is damaged: push the image again.",
    });
  }
}

interface Piece {
  readonly digest: Digest;
  readonly at: number;
  readonly end: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The bytes of one answer from `at` on, never more than up to `end`. */
async function* piece(
  { connection, base, scopes, retries, backoffMs }: ClientParts,
  subject: Subject,
  { digest, at, end, signal }: Piece,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (at === end && at > 0) return;
  const isRange = at > 0 || end !== undefined;
  const range = `bytes=${at}-${end === undefined ? "" : end - 1}`;
  const answer = await withRetries(subject, { retries, backoffMs, signal }, () =>
    connection.send({
      ...{ method: "GET", target: `${base}/blobs/${digest}`, scopes: scopes.pull, subject, signal },
      ...{ headers: isRange && end !== 0 ? { range } : {}, also: at > 0 ? [416] : [] },
    }),
  );
  try {
    if (answer.status === 416) return;
    let skip = answer.status === 206 ? 0 : at;
    if (answer.status === 206) checkContentRange(answer, at, subject);
    let left = end === undefined ? Number.POSITIVE_INFINITY : end - at;
    for await (const chunk of answer.stream as AsyncIterable<Buffer>) {
      const bytes = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - bytes.length;
      if (bytes.length > left) {
        if (left > 0) yield bytes.subarray(0, left);
        return;
      }
      left -= bytes.length;
      if (bytes.length > 0) yield bytes;
    }
  } finally {
    answer.stream.destroy();
  }
}

/** What is sent has to be what was asked for. */
function checkContentRange({ headers }: RegistryAnswer, at: number, { repository, what }: Subject): void {
  const first = /^bytes (\d+)-/.exec(headers["content-range"] ?? "")?.[1];
  if (first !== undefined && Number(first) === at) return;
  throw new KilnError("ERR_KILN_PROTOCOL", `${repository}: ${what}: the registry sends another range`, {
    hint: `Bytes from ${at} were asked for.`,
  });
}

function checkRange(start: number, end: number | undefined): void {
  const isRight =
    Number.isSafeInteger(start) && start >= 0 && (end === undefined || Number.isSafeInteger(end));
  if (!isRight) throw new RangeError(`no range of bytes: ${start} to ${end ?? "the end"}`);
}

import { createHash } from "node:crypto";
import { KilnError } from "../errors.js";
import { Content } from "../gen/containerd/services/content/v1/content_pb.js";
import { checkOptions } from "../internal/check-options.js";
import { checkDigest, wrongArgument } from "../llb/check-argument.js";
import type { Digest } from "../oci/digest.js";
import type { Connection } from "../rpc/connection.js";
import { RpcError } from "../rpc/rpc-error.js";
import { createClient } from "../rpc/typed-client.js";
import type { HistoryBlob } from "./history-record.js";

/** What is needed of a blob to read it: its size is asked for if it is not known. */
export type BlobToRead = Pick<HistoryBlob, "digest"> & { readonly size?: number | undefined };

/**
 * Reads a blob of the daemon's content store, piece by piece (containerd's `Content.Read`, read-only on the control
 * socket): what a history record names, or what that names in turn.
 *
 * Size and sha256 are checked; the last piece comes only when both are right. Leaving the loop ends the transfer.
 * Throws `ERR_KILN_INVALID_DIGEST`, `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION` at the call. The loop throws
 * `ERR_KILN_BLOB_NOT_FOUND`; for what is not as announced `ERR_KILN_TRUNCATED`, `ERR_KILN_LIMIT_EXCEEDED` (longer),
 * `ERR_KILN_DIGEST_MISMATCH` or `ERR_KILN_PROTOCOL` (out of order); `ERR_KILN_UNSUPPORTED` where the daemon has no such
 * service; `RpcError`; or the signal's reason.
 */
export function readHistoryBlob(
  connection: Connection,
  blob: BlobToRead | string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const call = "readHistoryBlob()";
  checkOptions(call, options, ["signal"]);
  if (typeof blob !== "string" && (typeof blob !== "object" || blob === null)) {
    throw wrongArgument(call, "the blob is no blob of a history record", "Pass record.logs, or a digest.");
  }
  const { digest, size } = typeof blob === "string" ? { digest: blob, size: undefined } : blob;
  checkDigest(call, "digest", digest);
  if (size !== undefined && (!Number.isSafeInteger(size) || size < 0)) {
    throw wrongArgument(
      call,
      "size must be a whole number of bytes, 0 or more",
      "Leave it out to have it asked for.",
    );
  }
  return readBlob(connection, { digest: digest as Digest, size }, options.signal);
}

/** The whole of a blob of at most `limit` bytes. Rejects as {@link readHistoryBlob} throws. */
export async function wholeBlob(
  connection: Connection,
  blob: BlobToRead,
  options: { readonly limit: number; readonly signal?: AbortSignal | undefined },
): Promise<Buffer> {
  const { limit, signal } = options;
  const size = blob.size ?? 0;
  if (size > limit) {
    throw new KilnError(
      "ERR_KILN_LIMIT_EXCEEDED",
      `the daemon's blob ${blob.digest} has ${size} bytes, more than the ${limit} that it may have here`,
      { hint: "Read it with readHistoryBlob(), which does not keep it in memory." },
    );
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of readHistoryBlob(connection, blob, { signal })) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* readBlob(
  connection: Connection,
  blob: { readonly digest: Digest; readonly size: number | undefined },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { digest } = blob;
  const content = createClient(Content, connection);
  try {
    const size = blob.size ?? Number((await content.info({ digest }, { signal })).info?.size ?? 0n);
    const hash = createHash("sha256");
    let received = 0;
    let last: Uint8Array | undefined;
    // Size 0 asks for all there is: a blob that is longer than announced is then seen.
    for await (const { offset, data } of content.read({ digest, offset: 0n, size: 0n }, { signal })) {
      if (Number(offset) !== received) {
        throw damaged("ERR_KILN_PROTOCOL", digest, `comes from byte ${offset} on where ${received} was next`);
      }
      received += data.length;
      if (received > size) {
        throw damaged(
          "ERR_KILN_LIMIT_EXCEEDED",
          digest,
          `has more than the ${size} bytes that it should have`,
        );
      }
      if (data.length === 0) continue;
      hash.update(data);
      if (last !== undefined) yield last;
      last = data;
    }
    if (received < size)
      throw damaged("ERR_KILN_TRUNCATED", digest, `ended after ${received} of ${size} bytes`);
    if (`sha256:${hash.digest("hex")}` !== digest) {
      throw damaged("ERR_KILN_DIGEST_MISMATCH", digest, "does not have the digest by which it was asked for");
    }
    if (last !== undefined) yield last;
  } catch (error) {
    throw blobError(error, digest);
  }
}

function damaged(
  code: "ERR_KILN_PROTOCOL" | "ERR_KILN_LIMIT_EXCEEDED" | "ERR_KILN_TRUNCATED" | "ERR_KILN_DIGEST_MISMATCH",
  digest: string,
  what: string,
): KilnError {
  return new KilnError(code, `the daemon's blob ${digest} ${what}`, {
    hint: "Do not use what came of it; the daemon's content store, or what lies between, damages it.",
  });
}

function blobError(error: unknown, digest: string): unknown {
  if (!(error instanceof RpcError)) return error;
  if (error.statusName === "NOT_FOUND") {
    return new KilnError("ERR_KILN_BLOB_NOT_FOUND", `the daemon does not have the blob ${digest}`, {
      hint: "It was cleared since, with the build's record or with the image. pinHistory() keeps a build's.",
      cause: error,
    });
  }
  if (error.statusName === "UNIMPLEMENTED") {
    return new KilnError("ERR_KILN_UNSUPPORTED", "the daemon does not let its content store be read", {
      hint: "Needs BuildKit 0.11 or newer.",
      cause: error,
    });
  }
  return error;
}

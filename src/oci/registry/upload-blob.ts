import { createReadStream } from "node:fs";
import { KilnError } from "../../errors.js";
import type { HttpBody } from "./http-transport.js";
import type { ClientParts } from "./registry-client.js";
import type { RegistryAnswer, RegistryRequest } from "./registry-connection.js";
import { Refusal, type Subject } from "./registry-error.js";
import { withRetries } from "./retry.js";

/** Where a blob's bytes come from: a file, or something that gives them anew each time it is called. */
export type BlobSource = string | (() => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>);

/** How a blob came to be in its repository: `exists` = it was there before. */
export type UploadOutcome = "exists" | "mounted" | "uploaded";

/** Options of `RegistryClient.uploadBlob`. */
export interface UploadBlobOptions {
  /** A repository of the same registry that may have the blob: it is tried to be mounted from there. */
  readonly mountFrom?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Upload extends UploadBlobOptions {
  readonly isThere: () => Promise<boolean>;
  readonly mount: (from: string) => Promise<boolean>;
}

/** Below the 100 MB that proxies allow at most. */
const chunkBytes = 16 * 1024 * 1024;

/** A registry may ask for larger chunks; they are held in memory. */
const chunkLimit = 128 * 1024 * 1024;

const readBytes = 256 * 1024;

/** What says that a body in one piece is not taken. */
const refusesWhole: ReadonlySet<number> = new Set([405, 411, 413, 415, 416, 501]);

/** A blob's bytes as a request's body. Reading rejects with `ERR_KILN_FILE_UNREADABLE`. */
export function blobBody({ size }: { readonly size: number }, source: BlobSource): HttpBody {
  if (typeof source === "function") return { length: size, open: source };
  return { length: size, open: () => fileBytes(source) };
}

async function* fileBytes(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const bytes of createReadStream(path, { highWaterMark: readBytes })) yield bytes as Buffer;
  } catch (error) {
    throw new KilnError("ERR_KILN_FILE_UNREADABLE", `cannot read ${path}: ${(error as Error).message}`, {
      hint: "It is to be uploaded: check that it is there and may be read.",
      cause: error,
    });
  }
}

/** See `RegistryClient.uploadBlob`. */
export async function uploadBlob(
  parts: ClientParts,
  { digest }: { readonly digest: string },
  body: HttpBody,
  { mountFrom, signal, isThere, mount }: Upload,
): Promise<UploadOutcome> {
  if (await isThere()) return "exists";
  if (mountFrom !== undefined && (await mount(mountFrom))) return "mounted";
  const { repository, retries, backoffMs } = parts;
  const subject = { repository, what: `upload of ${digest}`, isBlob: true };
  let inChunks = false;
  await withRetries(subject, { retries, backoffMs, signal }, async (attempt) => {
    // A connection that broke may have broken after all was said.
    if (attempt > 0 && (await isThere())) return;
    // One that breaks again and again may be a proxy's way to say that the body is too large.
    if (attempt > 1) inChunks = true;
    try {
      await sendBlob(parts, subject, { digest, body, inChunks, signal });
    } catch (error) {
      if (inChunks || !(error instanceof Refusal) || !wantsChunks(error)) throw error;
      inChunks = true;
      await sendBlob(parts, subject, { digest, body, inChunks, signal });
    }
  });
  return "uploaded";
}

function wantsChunks({ status, code }: Refusal): boolean {
  return refusesWhole.has(status) || code === "UNSUPPORTED" || code === "BLOB_UPLOAD_INVALID";
}

interface Sending {
  readonly digest: string;
  readonly body: HttpBody;
  readonly inChunks: boolean;
  readonly signal: AbortSignal | undefined;
}

async function sendBlob(parts: ClientParts, subject: Subject, sending: Sending): Promise<void> {
  const { connection, base, scopes } = parts;
  const { digest, body, inChunks, signal } = sending;
  const send = (request: Pick<RegistryRequest, "method" | "target" | "headers" | "body">) =>
    connection.send({ ...request, scopes: scopes.push, subject, signal });
  const nextOf = (answer: RegistryAnswer): URL => {
    answer.stream.resume();
    const { location } = answer.headers;
    if (location !== undefined) return connection.resolve(location, answer.url, subject);
    throw new KilnError(
      "ERR_KILN_PROTOCOL",
      `${subject.repository}: ${subject.what}: no Location to go on at`,
      {
        hint: "Check that it is a registry.",
      },
    );
  };
  const opened = await send({
    ...{ method: "POST", target: `${base}/blobs/uploads/`, headers: { "content-length": "0" } },
  });
  let next = nextOf(opened);
  const type = { "content-type": "application/octet-stream" };
  if (inChunks) {
    let at = 0;
    const size = chunkSize(opened, subject);
    for await (const chunk of chunksOf(body, size)) {
      next = nextOf(
        await send({
          ...{ method: "PATCH", target: next },
          headers: { ...type, "content-range": `${at}-${at + chunk.length - 1}` },
          body: { length: chunk.length, open: () => once(chunk) },
        }),
      );
      at += chunk.length;
    }
  }
  const target = new URL(next);
  target.searchParams.set("digest", digest);
  const ended = await send(
    inChunks
      ? { method: "PUT", target, headers: { "content-length": "0" } }
      : { method: "PUT", target, headers: type, body },
  );
  ended.stream.resume();
  const said = ended.headers["docker-content-digest"];
  if (typeof said === "string" && said !== digest) {
    throw new KilnError(
      "ERR_KILN_DIGEST_MISMATCH",
      `${subject.repository}: ${subject.what}: it became another blob`,
      {
        hint: "Something between changes what is sent.",
      },
    );
  }
}

function chunkSize({ headers }: RegistryAnswer, { repository, what }: Subject): number {
  const least = Number(headers["oci-chunk-min-length"] ?? 0);
  if (!(least > chunkBytes)) return chunkBytes;
  if (least <= chunkLimit) return least;
  throw new KilnError(
    "ERR_KILN_LIMIT_EXCEEDED",
    `${repository}: ${what}: the registry wants chunks of ${least} bytes`,
    {
      hint: `They are held in memory: ${chunkLimit} bytes at most.`,
    },
  );
}

/** A body in pieces of one size; the last one has what is left. */
async function* chunksOf(body: HttpBody, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  let total = 0;
  for await (const piece of await body.open()) {
    for (let rest = piece; rest.length > 0; ) {
      const part = rest.subarray(0, size - bytes);
      rest = rest.subarray(part.length);
      held.push(part);
      bytes += part.length;
      total += part.length;
      if (total > body.length) throw changed(body.length, total);
      if (bytes < size) continue;
      yield Buffer.concat(held);
      held = [];
      bytes = 0;
    }
  }
  if (total !== body.length) {
    throw changed(body.length, total);
  }
  if (bytes > 0) yield Buffer.concat(held);
}

function changed(length: number, total: number): KilnError {
  return new KilnError("ERR_KILN_FILE_CHANGED", `a blob of ${length} bytes has ${total} or more`, {
    hint: "Its source changed meanwhile, or its descriptor is wrong.",
  });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}

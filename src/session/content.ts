import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import {
  Content,
  ListContentRequestSchema,
  ListContentResponseSchema,
  ReadContentRequestSchema,
  ReadContentResponseSchema,
  WriteAction,
  type WriteContentRequest,
  WriteContentRequestSchema,
  WriteContentResponseSchema,
} from "../gen/containerd/services/content/v1/content_pb.js";
import { SpareBuffers } from "../internal/spare-buffers.js";
import { type Digest, isDigest } from "../oci/digest.js";
import { bytesFieldHeader } from "../rpc/bytes-message.js";
import { type BlobWriter, ContentConflict, type ContentStore } from "./content-store.js";
import type { ServerCall } from "./grpc/server-call.js";
import type { Attachable, SessionMethod } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";
import { unaryMethods } from "./grpc/unary-service.js";

/** Metadata key in which the daemon names the store it means. */
const storeHeader = "buildkit-attachable-store-id";

/** Data in one message to the daemon. */
const readBytes = 128 * 1024;
/** Buffers that are kept for the next read: a daemon reads a few blobs at a time. */
const keptBuffers = 16;
/** Tag of `ReadContentResponse.data`: number 2, length-delimited. */
const dataTag = 0x12;

/**
 * containerd's content service over OCI layouts on this machine.
 *
 * Keys are store ids as the daemon sends them: `oci:NAME` for bases, `export` for a layout being written.
 * Stores without `begin` are read-only. Digests from the daemon are checked before they become a path.
 */
export function contentService(stores: ReadonlyMap<string, ContentStore>): Attachable {
  const spare = new SpareBuffers(readBytes, keptBuffers);
  const choose = (id: string | undefined): ContentStore => {
    const store = id === undefined ? undefined : stores.get(id);
    if (store === undefined)
      throw new ServiceRefusal(status.NOT_FOUND, `unknown store ${id ?? "(none named)"}`);
    return store;
  };
  const methods: readonly SessionMethod[] = [
    ...unaryMethods(Content, {
      async info(request, context) {
        const found = await choose(context.header(storeHeader)).info(checkDigest(request.digest));
        if (found === undefined) throw notFound(request.digest);
        const at = timestampFromDate(found.modifiedAt);
        return { info: { digest: found.digest, size: BigInt(found.size), createdAt: at, updatedAt: at } };
      },
      update: () => {
        throw new ServiceRefusal(status.UNIMPLEMENTED, "an OCI layout keeps no labels");
      },
      delete: () => {
        throw new ServiceRefusal(
          status.PERMISSION_DENIED,
          "blobs of this machine's layouts are not the daemon's to delete",
        );
      },
      status: (request) => {
        throw new ServiceRefusal(status.NOT_FOUND, `no write ${request.ref} is under way`);
      },
      listStatuses: () => ({ statuses: [] }),
      abort: (request) => {
        throw new ServiceRefusal(status.NOT_FOUND, `no write ${request.ref} is under way`);
      },
    }),
    {
      name: "List",
      async handle(call) {
        fromBinary(ListContentRequestSchema, await call.message());
        for await (const blob of choose(call.header(storeHeader)).list()) {
          const at = timestampFromDate(blob.modifiedAt);
          const info = [{ digest: blob.digest, size: BigInt(blob.size), updatedAt: at }];
          await call.write(toBinary(ListContentResponseSchema, create(ListContentResponseSchema, { info })));
        }
      },
    },
    { name: "Read", handle: (call) => read(call, choose(call.header(storeHeader)), spare) },
    { name: "Write", handle: (call) => write(call, choose(call.header(storeHeader))) },
  ];
  return { name: Content.typeName, methods };
}

/**
 * Sends a blob, or a part of it. Two buffers take turns, one read into while the other is sent.
 */
async function read(call: ServerCall, store: ContentStore, spare: SpareBuffers): Promise<void> {
  const request = fromBinary(ReadContentRequestSchema, await call.message());
  const digest = checkDigest(request.digest);
  const file = await store.openBlob(digest);
  if (file === undefined) throw notFound(digest);
  try {
    const { size } = await file.stat();
    const start = Number(request.offset);
    if (start < 0 || start > size)
      throw new ServiceRefusal(status.OUT_OF_RANGE, `read past the end of ${digest}`);
    const wanted = Number(request.size);
    const end = wanted <= 0 ? size : Math.min(size, start + wanted);
    let [data, sending] = [spare.take(), spare.take()];
    for (let offset = start; offset < end; ) {
      if (call.cancelled) return;
      const { bytesRead } = await file.read(data, 0, Math.min(data.length, end - offset), offset);
      if (bytesRead === 0)
        throw new ServiceRefusal(status.DATA_LOSS, `${digest} became shorter while it was read`);
      await call.sent();
      const place = toBinary(
        ReadContentResponseSchema,
        create(ReadContentResponseSchema, { offset: BigInt(offset) }),
      );
      await call.write(place, bytesFieldHeader(dataTag, bytesRead), data.subarray(0, bytesRead));
      [data, sending] = [sending, data];
      offset += bytesRead;
    }
    await call.sent();
    // Of a call that was broken off, the transport may still have one.
    if (call.cancelled) return;
    for (const buffer of [data, sending]) spare.give(buffer);
  } finally {
    await file.close();
  }
}

async function write(call: ServerCall, store: ContentStore): Promise<void> {
  if (store.begin === undefined)
    throw new ServiceRefusal(status.PERMISSION_DENIED, "this store is read-only");
  let writer: BlobWriter | undefined;
  let expected: Digest | undefined;
  let total = 0;
  try {
    for await (const bytes of call.messages()) {
      const request = fromBinary(WriteContentRequestSchema, bytes);
      if (writer === undefined && request.ref === "") {
        throw new ServiceRefusal(status.INVALID_ARGUMENT, "the first message of a write must name it");
      }
      if (request.total > 0n) total = Number(request.total);
      if (request.expected !== "") {
        expected = checkDigest(request.expected);
        store.note?.(expected);
        if (store.claims?.(expected, total) === true || (await holds(store, expected, total))) {
          throw new ServiceRefusal(status.ALREADY_EXISTS, `blob ${expected} exists`);
        }
      }
      writer ??= await store.begin();
      const digest = await apply(writer, request, total, expected);
      await call.write(
        toBinary(
          WriteContentResponseSchema,
          create(WriteContentResponseSchema, {
            action: request.action,
            startedAt: time(writer.startedAt),
            updatedAt: time(writer.updatedAt),
            offset: BigInt(writer.offset),
            total: BigInt(total),
            digest: digest ?? "",
          }),
        ),
      );
      if (digest !== undefined) {
        writer = undefined;
        return;
      }
    }
  } catch (error) {
    if (error instanceof ContentConflict) {
      const code = error.reason === "offset" ? status.OUT_OF_RANGE : status.FAILED_PRECONDITION;
      throw new ServiceRefusal(code, error.message);
    }
    throw error;
  } finally {
    await writer?.abort();
  }
}

/** Whether a blob need not be written. One of another size is no whole one: it is written anew. */
async function holds(store: ContentStore, digest: Digest, total: number): Promise<boolean> {
  const size = (await store.info(digest))?.size;
  if (size !== undefined && (total === 0 || size === total)) {
    if (store.isWhole === undefined || (await store.isWhole(digest, size))) return true;
  }
  return (await store.takeOver?.(digest)) === true;
}

/** Carries out one message of a write; the blob's digest once it is committed. */
async function apply(
  writer: BlobWriter,
  request: WriteContentRequest,
  total: number,
  expected: Digest | undefined,
): Promise<Digest | undefined> {
  if (request.action === WriteAction.STAT) return undefined;
  if (request.data.length > 0) await writer.write(request.data, Number(request.offset));
  return request.action === WriteAction.COMMIT ? writer.commit(total, expected) : undefined;
}

function time(date: Date): Timestamp {
  return timestampFromDate(date);
}

function checkDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new ServiceRefusal(
    status.INVALID_ARGUMENT,
    `not a sha256 digest: ${JSON.stringify(text.slice(0, 100))}`,
  );
}

function notFound(digest: string): ServiceRefusal {
  return new ServiceRefusal(status.NOT_FOUND, `content ${digest}: not found`);
}

import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { status } from "@grpc/grpc-js";
import { receiveTree } from "../fsutil/receive.js";
import { FileSend } from "../gen/moby/filesync/v1/filesync_pb.js";
import { unfinishedName } from "../internal/unfinished-file.js";
import { decodeBytesMessage } from "../rpc/bytes-message.js";
import { packetChannel } from "./grpc/packet-channel.js";
import type { ServerCall } from "./grpc/server-call.js";
import type { Attachable } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";

/** What the daemon says about what it is about to send: `containerimage.digest` and the like. */
export type ExporterMetadata = Readonly<Record<string, string>>;

/** A directory that receives the result's files. */
export interface DirectoryTarget {
  readonly kind: "dir";
  readonly path: string;
}

/** A file that receives a tar: written beside its place and renamed when it is whole. */
export interface FileTargetSpec {
  readonly kind: "file";
  readonly path: string;
  readonly onMetadata?: ((metadata: ExporterMetadata) => void) | undefined;
}

/**
 * A stream that receives a tar; opened when the daemon begins, ended when it is whole. Opening none says that the tar is
 * there already: the daemon then sends nothing, and image exporters count that as done.
 */
export interface StreamTarget {
  readonly kind: "stream";
  open(): Writable | undefined | Promise<Writable | undefined>;
  readonly onMetadata?: ((metadata: ExporterMetadata) => void) | undefined;
}

/** Where an exporter's bytes go. */
export type FileSendTarget = DirectoryTarget | FileTargetSpec | StreamTarget;

const idHeader = "buildkit-attachable-exporter-id";
const metadataPrefix = "exporter-md-";

/** Told what became of each target, so that a failure here is more than a text in the daemon's error. */
export interface FileSendOptions {
  readonly onProblem?: ((exporterId: number, error: unknown) => void) | undefined;
  /** Given what settles when a transfer is over and has cleared away what it leaves half done. Never rejects. */
  readonly onTransfer?: ((over: Promise<void>) => void) | undefined;
}

/**
 * Receives what exporters send to the client.
 *
 * Targets are keyed by exporter id, the exporter's position in the solve (0 when the daemon names none:
 * before BuildKit 0.13 there was one). The messages are `BytesMessage` for a file or stream and fsutil
 * packets for a directory, whatever the service's definition says.
 */
export function fileSendService(
  targets: ReadonlyMap<number, FileSendTarget>,
  options: FileSendOptions = {},
): Attachable {
  const diffCopy = async (call: ServerCall): Promise<void> => {
    const id = Number(call.header(idHeader) ?? "0");
    try {
      const target = targets.get(id);
      if (target === undefined) {
        throw new ServiceRefusal(status.NOT_FOUND, `nothing was asked of exporter ${id}`);
      }
      await receive(call, target);
    } catch (error) {
      const exists = error instanceof ServiceRefusal && error.code === status.ALREADY_EXISTS;
      if (!exists) options.onProblem?.(id, error);
      throw error;
    }
  };
  const handle = (call: ServerCall): Promise<void> => {
    const transfer = diffCopy(call);
    options.onTransfer?.(transfer.catch(() => {}));
    return transfer;
  };
  return { name: FileSend.typeName, methods: [{ name: FileSend.method.diffCopy.name, handle }] };
}

function receive(call: ServerCall, target: FileSendTarget): Promise<void> {
  switch (target.kind) {
    case "dir":
      return receiveTree(packetChannel(call), target.path, { signal: call.signal }).then(() => undefined);
    case "file":
      target.onMetadata?.(metadataOf(call));
      return receiveFile(call, target.path);
    case "stream":
      target.onMetadata?.(metadataOf(call));
      return receiveStream(call, target);
    default:
      return target satisfies never;
  }
}

async function receiveFile(call: ServerCall, path: string): Promise<void> {
  const temporary = unfinishedName(path);
  try {
    await pour(call, createWriteStream(temporary, { flags: "wx" }));
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function receiveStream(call: ServerCall, target: StreamTarget): Promise<void> {
  const out = await target.open();
  if (out === undefined) throw new ServiceRefusal(status.ALREADY_EXISTS, "the target exists");
  await pour(call, out);
}

/** Writes all data of the call, honouring the writer's pace; rejects when the call ends before its end. */
async function pour(call: ServerCall, out: Writable): Promise<void> {
  const done = finished(out);
  // Awaited below; until then a failure must not count as unhandled.
  done.catch(() => {});
  // A target that takes nothing more would otherwise be waited for although nothing more comes.
  const giveUp = (): void => {
    out.destroy();
  };
  call.signal.addEventListener("abort", giveUp, { once: true });
  try {
    for await (const message of call.messages()) {
      const data = decodeBytesMessage(message);
      if (data.length === 0 || out.write(data)) continue;
      await drained(out);
      if (out.destroyed) break;
    }
    call.signal.removeEventListener("abort", giveUp);
    out.end();
    await done;
  } catch (error) {
    out.destroy();
    throw error;
  }
}

/** Waits until a full stream takes more, or has closed. */
function drained(out: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      out.off("drain", done);
      out.off("close", done);
      resolve();
    };
    out.once("drain", done);
    out.once("close", done);
  });
}

function metadataOf(call: ServerCall): ExporterMetadata {
  const names = call.headerNames().filter((name) => name.startsWith(metadataPrefix));
  return Object.fromEntries(
    names.map((name) => [name.slice(metadataPrefix.length), call.header(name) ?? ""]),
  );
}

import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { Control, StatusResponseSchema } from "../gen/moby/buildkit/v1/control_pb.js";
import { parseAddress } from "../rpc/address.js";
import { openConnection } from "../rpc/connection.js";
import { createClient } from "../rpc/typed-client.js";
import type { FakeBuild } from "./fake-build.js";
import type { FakeAnswer } from "./fake-buildkit.js";
import { type FakeErrorDetail, FakeRefusal } from "./fake-refusal.js";

/** A build's progress and end, as plain JSON that can be kept in a file. */
export interface BuildRecording {
  /** The messages of the daemon's Status stream, in protobuf's JSON. */
  readonly status: readonly JsonValue[];
  /** The exporters' response. Not part of what a daemon remembers: add it by hand where a test reads it. */
  readonly exporterResponse?: Readonly<Record<string, string>> | undefined;
  /** How the build failed, if it did. */
  readonly error?:
    | {
        readonly status: number;
        readonly message: string;
        readonly details?: readonly FakeErrorDetail[] | undefined;
      }
    | undefined;
}

/**
 * Records the progress of a build that a real daemon has in its history.
 *
 * Rejects with `ERR_KILN_INVALID_ADDRESS`, `RpcError` (e.g. for an unknown `ref`), or the signal's reason.
 */
export async function recordBuild(
  address: string,
  ref: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<BuildRecording> {
  const connection = await openConnection(parseAddress(address));
  try {
    const status: JsonValue[] = [];
    for await (const message of createClient(Control, connection).status({ Ref: ref }, options)) {
      status.push(toJson(StatusResponseSchema, message));
    }
    return { status };
  } finally {
    await connection.close();
  }
}

/** A fake daemon's `solve` that goes as a recorded build went. */
export function replay(recording: BuildRecording): (build: FakeBuild) => FakeAnswer {
  return (build) => {
    for (const message of recording.status) build.status(fromJson(StatusResponseSchema, message));
    const { error } = recording;
    if (error !== undefined) throw new FakeRefusal(error.status, error.message, error.details);
    return recording.exporterResponse;
  };
}

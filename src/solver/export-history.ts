import { Writable } from "node:stream";
import { KilnError } from "../errors.js";
import {
  BuildHistoryEventType,
  type BuildHistoryRecord,
  Control,
} from "../gen/moby/buildkit/v1/control_pb.js";
import { checkOptions } from "../internal/check-options.js";
import { wrongArgument } from "../llb/check-argument.js";
import type { DaemonFacts } from "../model/daemon.js";
import { layoutEntries } from "../oci/layout-entries.js";
import { formatPlatform } from "../oci/platform.js";
import type { Connection } from "../rpc/connection.js";
import { createClient } from "../rpc/typed-client.js";
import { isFrom } from "./docker-versions.js";
import { historyBundle } from "./history-bundle.js";
import { checkRef, findBuild } from "./query-history.js";
import { checkLayoutTarget, type LayoutTarget, writeLayout } from "./write-layout.js";

/** What {@link exportHistory} may be told. */
export interface ExportHistoryOptions {
  /**
   * Where the bundle goes: `{ file }` (mostly `NAME.dockerbuild`) or a stream for a tar with gzip, `{ dir }` for an OCI
   * layout directory.
   */
  readonly to: LayoutTarget;
  readonly signal?: AbortSignal | undefined;
}

/** A bundle that was written. */
export interface HistoryExport {
  readonly refs: readonly string[];
  /** Digest of the manifest (of the index, if there are several builds) in the bundle. */
  readonly digest: string;
  /** Bytes of the bundle's blobs, before compression. */
  readonly size: number;
}

/** A connection and what is known of the daemon behind it: a `Client`. */
export interface ExportHistorySource {
  readonly connection: Connection;
  readonly facts: (options: { readonly signal?: AbortSignal | undefined }) => Promise<DaemonFacts>;
}

/**
 * Writes builds of the daemon's history to one bundle, as `docker buildx history export` does and Docker Desktop and
 * `docker buildx history import` read it: records, logs, traces, attestations, errors and the manifests of the results.
 * Access keys are taken out of traces and cache sources.
 *
 * Waits for the trace where the daemon can be asked to finish it (BuildKit 0.15). Rejects with `ERR_KILN_BUILD_NOT_FOUND`;
 * `ERR_KILN_BUILD_RUNNING`; `ERR_KILN_OUTPUT_EXISTS`, `ERR_KILN_OUTPUT_UNWRITABLE`; what `readHistoryBlob` throws;
 * `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_UNKNOWN_OPTION`; `RpcError`; or the signal's reason. Nothing half-written stays.
 */
export async function exportHistory(
  source: ExportHistorySource,
  refs: string | readonly string[],
  options: ExportHistoryOptions,
): Promise<HistoryExport> {
  const call = "exportHistory()";
  const list = [...new Set(typeof refs === "string" ? [refs] : checkList(call, refs))];
  for (const ref of list) checkRef(call, ref);
  checkOptions(call, options, ["to", "signal"]);
  const to = checkTarget(call, options?.to);
  const { signal } = options;
  signal?.throwIfAborted();
  await checkLayoutTarget(to);
  const facts = await source.facts({ signal });
  const records: BuildHistoryRecord[] = [];
  for (const ref of list) records.push(await finishedRecord(source.connection, ref, facts, signal));
  const platform = facts.workers[0]?.platforms[0];
  const bundle = await historyBundle(source.connection, records, {
    defaultPlatform: platform === undefined ? "" : formatPlatform(platform),
    signal,
  });
  const entries = layoutEntries([bundle.root], bundle.blobs);
  await writeLayout(to, entries, signal);
  return { refs: list, digest: bundle.root.digest, size: entries.reduce((sum, { size }) => sum + size, 0) };
}

async function finishedRecord(
  connection: Connection,
  ref: string,
  facts: DaemonFacts,
  signal: AbortSignal | undefined,
): Promise<BuildHistoryRecord> {
  const { record, type } = await findBuild(connection, ref, signal);
  if (type !== BuildHistoryEventType.COMPLETE) {
    throw new KilnError("ERR_KILN_BUILD_RUNNING", `the build ${ref} still runs`, {
      hint: "Wait for its end (follow() tells), then export it.",
    });
  }
  if (record.trace !== undefined || isFrom(facts.buildkitVersion, "0.15") === false) return record;
  // A daemon too old for it would take the request for one that unpins the build: it is told what it has already.
  const { pinned } = record;
  const control = createClient(Control, connection);
  await control.updateBuildHistory({ Ref: ref, Pinned: pinned, Finalize: true }, { signal });
  return (await findBuild(connection, ref, signal)).record;
}

function checkList(call: string, refs: unknown): readonly string[] {
  if (Array.isArray(refs) && refs.length > 0) return refs;
  throw wrongArgument(call, "refs must be a ref or a list of them", "Pass the ref of a record of history().");
}

function checkTarget(call: string, to: unknown): LayoutTarget {
  const hint = 'Pass { file: "build.dockerbuild" }, { dir: "build" } or a stream.';
  if (to instanceof Writable) return to;
  if (typeof to !== "object" || to === null) throw wrongArgument(call, "it is not told where to write", hint);
  const keys = Object.keys(to);
  const [path] = Object.values(to) as readonly unknown[];
  const isKnown = keys.length === 1 && (keys[0] === "file" || keys[0] === "dir");
  if (isKnown && typeof path === "string" && path !== "") return to as LayoutTarget;
  throw wrongArgument(call, "to must have one of file and dir, with a path", hint);
}

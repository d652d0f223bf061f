import { KilnError } from "../errors.js";
import type { APICap } from "../gen/moby/buildkit/v1/apicaps/caps_pb.js";
import { Control } from "../gen/moby/buildkit/v1/control_pb.js";
import type { WorkerRecord } from "../gen/moby/buildkit/v1/types/worker_pb.js";
import type { DaemonFacts, ImageStoreKind, WorkerFact } from "../model/daemon.js";
import { formatAddress } from "../rpc/address.js";
import type { Connection } from "../rpc/connection.js";
import { dockerVersion } from "../rpc/docker-http.js";
import { createClient } from "../rpc/typed-client.js";
import { buildkitOfDocker, knownVersion } from "./docker-versions.js";
import { withGateway } from "./gateway/with-gateway.js";
import { platformFromPb } from "./platform-pb.js";

/**
 * Learns what a daemon is and can do.
 *
 * Asks, in this order: ListWorkers (labels, devices, platforms), Info for the version (daemons before 0.11
 * have none), Docker's `/version` where it is a Docker (its own version stands for a BuildKit version that it
 * does not tell; its Go release decides about estargz), and Ping inside an internal gateway build for the
 * capability lists. Rejects with the connection's error, or `signal`'s reason.
 */
export async function learnDaemonFacts(
  connection: Connection,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DaemonFacts> {
  const { signal } = options;
  const control = createClient(Control, connection);
  const { record } = await control.listWorkers({}, { signal });
  const workers = record.map(workerFact);
  const isDocker = ["docker", "docker+ssh"].includes(connection.address.scheme);
  const [told, docker, pong] = await Promise.all([
    infoVersion(control, signal),
    isDocker ? dockerVersion(connection, { signal }) : undefined,
    withGateway(connection, (gateway) => gateway.ping(), { signal }),
  ]);
  const ownVersion = knownVersion(told) ?? knownVersion(workers[0]?.version);
  return {
    address: formatAddress(connection.address),
    kind: isDocker ? "docker" : "buildkitd",
    store: storeOf(isDocker, workers),
    buildkitVersion: ownVersion ?? (docker === undefined ? undefined : buildkitOfDocker(docker.version)),
    dockerVersion: docker?.version,
    goVersion: docker?.goVersion,
    workers,
    llbCaps: enabledCaps(pong.LLBCaps),
    frontendCaps: enabledCaps(pong.FrontendAPICaps),
  };
}

async function infoVersion(
  control: ReturnType<typeof createClient<typeof Control>>,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  try {
    return (await control.info({}, { signal })).buildkitVersion?.version;
  } catch (error) {
    if (error instanceof KilnError && "statusName" in error && error.statusName === "UNIMPLEMENTED")
      return undefined;
    throw error;
  }
}

function workerFact(record: WorkerRecord): WorkerFact {
  return {
    id: record.ID,
    labels: record.Labels,
    platforms: record.platforms.map(platformFromPb),
    devices: record.CDIDevices.map((device) => ({
      name: device.Name,
      autoAllow: device.AutoAllow,
      annotations: device.Annotations,
      onDemand: device.OnDemand,
    })),
    version: record.BuildkitVersion?.version,
  };
}

// Docker labels its worker with a snapshotter only when images live in containerd.
function storeOf(isDocker: boolean, workers: readonly WorkerFact[]): ImageStoreKind {
  if (!isDocker) return "buildkit";
  const labels = workers[0]?.labels ?? {};
  return Object.keys(labels).some((key) => key.endsWith("worker.snapshotter")) ? "containerd" : "classic";
}

function enabledCaps(caps: readonly APICap[]): ReadonlySet<string> {
  return new Set(caps.filter((cap) => cap.Enabled).map((cap) => cap.ID));
}

import type { Platform } from "../oci/platform.js";

/** A CDI device that a worker offers to build steps. */
export interface DeviceFact {
  /** Full CDI name, `vendor/class=name`. */
  readonly name: string;
  /** Usable without the `device` entitlement. */
  readonly autoAllow: boolean;
  readonly annotations: Readonly<Record<string, string>>;
  /** Installed by the daemon on first use. */
  readonly onDemand: boolean;
}

/** One worker of a daemon, as ListWorkers tells it. */
export interface WorkerFact {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly platforms: readonly Platform[];
  readonly devices: readonly DeviceFact[];
  /** As the daemon says it; not always a version (`v0.0.0+unknown`). */
  readonly version: string | undefined;
}

/** Which image store a daemon exports to: `classic` is Docker's graph-driver store, which can do far less. */
export type ImageStoreKind = "containerd" | "classic" | "buildkit";

/** What is known about a daemon before anything is asked of it. */
export interface DaemonFacts {
  readonly address: string;
  readonly kind: "buildkitd" | "docker";
  readonly store: ImageStoreKind;
  /** BuildKit version `major.minor`, from the daemon or from Docker's version; `undefined` = it does not tell. */
  readonly buildkitVersion: string | undefined;
  /** Docker's own version, if it is a Docker. */
  readonly dockerVersion: string | undefined;
  /** The Go release it was built with, if it tells (Docker does), e.g. `go1.24.4`. */
  readonly goVersion: string | undefined;
  readonly workers: readonly WorkerFact[];
  /** Ids of the LLB capabilities that the daemon lists. */
  readonly llbCaps: ReadonlySet<string>;
  /** Ids of the gateway capabilities that the daemon lists. */
  readonly frontendCaps: ReadonlySet<string>;
}

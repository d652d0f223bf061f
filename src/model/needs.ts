import type { CallSite } from "../errors.js";
import type { SecretOrigin } from "./secret.js";

/** A base image that a chain starts from or takes files of, before anything is resolved. */
export type BaseNeed = RegistryBaseNeed | LayoutBaseNeed | RootfsBaseNeed | StoredBaseNeed;

/** A base that the daemon pulls (or finds in its own store) by reference. */
export interface RegistryBaseNeed {
  readonly kind: "registry";
  /** Key of this base in {@link Needs} and in the facts. */
  readonly id: string;
  /** Fully normalised reference, e.g. `docker.io/library/debian:bookworm-slim`. */
  readonly ref: string;
  /** Credentials of this base's registry; default: those of the engine. */
  readonly auth?: RegistryAuth | undefined;
  /** Ask the registry anew, whatever is locked. */
  readonly refresh?: boolean | undefined;
  readonly location: CallSite | undefined;
}

/** Credentials of a registry, out of a secret of the chain's. */
export interface RegistryAuth {
  /** How the secret's values become a password: as they are, by AWS, by Google. */
  readonly kind: "basic" | "aws" | "gcp";
  /** Id of a {@link SecretNeed}. */
  readonly secret: string;
}

/** A base in an OCI layout directory of the user's; the daemon reads it through the session. */
export interface LayoutBaseNeed {
  readonly kind: "oci-layout";
  readonly id: string;
  /** The directory as the user wrote it; relative to the build's working directory. */
  readonly path: string;
  /** A tag or digest inside the layout; `undefined` = its only manifest. */
  readonly ref: string | undefined;
  readonly location: CallSite | undefined;
}

/** A base made of a tar of a root filesystem. */
export interface RootfsBaseNeed {
  readonly kind: "rootfs";
  readonly id: string;
  /** The tar as the user wrote it; relative to the build's working directory. */
  readonly path: string;
  readonly location: CallSite | undefined;
}

/** A base that was published on this machine. */
export interface StoredBaseNeed {
  readonly kind: "stored";
  readonly id: string;
  /** `name[:tag]`, or the digest of a manifest or index. */
  readonly name: string;
  readonly location: CallSite | undefined;
}

/** A local directory or file whose content enters the image. */
export interface TreeNeed {
  readonly id: string;
  readonly kind: "dir" | "file";
  /** As the user wrote it; relative to the build's working directory. */
  readonly path: string;
  /** Patterns with `.dockerignore` semantics, relative to the directory. Always empty for a file. */
  readonly ignore: readonly string[];
  /** Ids of {@link FileNeed}s: the lines of the first that exists come before {@link ignore}. */
  readonly ignoreFiles: readonly string[];
  /** Further files by their path in the directory, in place of what is there; nothing ignores them. */
  readonly files?: Readonly<Record<string, string>> | undefined;
  /** `"keep"` = file times count: they are sent as they are on this machine. Default: they are nobody's matter. */
  readonly times?: "keep" | undefined;
  /** True = nothing that is known reads it, so that it is not looked through before it is asked for. Default false. */
  readonly unread?: boolean | undefined;
  /** `"own"` keeps each file's own permission bits, `"normalize"` sends 0755 (directories, executables) or 0644. */
  readonly mode: "own" | "normalize";
  /** The step that reads it, for messages: `addLocalDir("./src", "/app")`. */
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** A small local file whose text the compiler needs (an ignore file, a requirements file). */
export interface FileNeed {
  readonly id: string;
  readonly path: string;
  /** A missing file is no error. */
  readonly optional: boolean;
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** Which local files there are by a pattern (the members of a workspace). */
export interface ListingNeed {
  readonly id: string;
  /** Directory as the user wrote it; a missing one lists nothing. */
  readonly path: string;
  /** Patterns with `.dockerignore` semantics, of paths below the directory; `!` leaves out. */
  readonly patterns: readonly string[];
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** A secret whose values a step's commands get, or that opens a registry. */
export interface SecretNeed {
  readonly id: string;
  readonly origin: SecretOrigin;
  /** `command`: the session gives it to the daemon for commands. `registry`: it stays here. */
  readonly use: "command" | "registry";
  /** Another value makes the step another one. Default: values do not count. */
  readonly versioned?: boolean | undefined;
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** A device that a step's commands run with. */
export interface DeviceNeed {
  readonly id: string;
  /** A CDI name (`vendor/class=name`), or a model such as `H100`. */
  readonly gpu: string;
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** Certificates that one step's commands trust, in place of the build's. */
export interface CaBundleNeed {
  readonly id: string;
  /** A PEM file as the user wrote it; relative to the build's working directory. */
  readonly path: string;
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** Everything a chain needs from outside before it can be compiled: derived from it without any I/O. */
export interface Needs {
  readonly bases: readonly BaseNeed[];
  readonly trees: readonly TreeNeed[];
  readonly files: readonly FileNeed[];
  readonly listings: readonly ListingNeed[];
  readonly secrets: readonly SecretNeed[];
  readonly devices: readonly DeviceNeed[];
  readonly caBundles: readonly CaBundleNeed[];
  /** A step asks the Dockerfile frontend, which resolves images by itself. */
  readonly usesDockerfile: boolean;
}

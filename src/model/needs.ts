import type { CallSite } from "../errors.js";
import type { SecretOrigin } from "./secret.js";

/** A base image that the chain starts from, before anything is resolved. */
export type BaseNeed = RegistryBaseNeed | LayoutBaseNeed;

/** A base that the daemon pulls (or finds in its own store) by reference. */
export interface RegistryBaseNeed {
  readonly kind: "registry";
  /** Key of this base in {@link Needs} and in the facts; the same reference gives the same key. */
  readonly id: string;
  /** Fully normalised reference, e.g. `docker.io/library/debian:bookworm-slim`. */
  readonly ref: string;
  readonly location: CallSite | undefined;
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

/** A local directory or file whose content enters the image. */
export interface TreeNeed {
  readonly id: string;
  readonly kind: "dir" | "file";
  /** As the user wrote it; relative to the build's working directory. */
  readonly path: string;
  /** Patterns with `.dockerignore` semantics, relative to the directory. Always empty for a file. */
  readonly ignore: readonly string[];
  /** Id of a {@link FileNeed} whose lines come before {@link ignore}. */
  readonly ignoreFile: string | undefined;
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
  readonly title: string;
  readonly location: CallSite | undefined;
}

/** A secret whose values a step's commands get. */
export interface SecretNeed {
  readonly id: string;
  readonly origin: SecretOrigin;
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

/** Everything a chain needs from outside before it can be compiled: derived from it without any I/O. */
export interface Needs {
  readonly bases: readonly BaseNeed[];
  readonly trees: readonly TreeNeed[];
  readonly files: readonly FileNeed[];
  readonly secrets: readonly SecretNeed[];
  readonly devices: readonly DeviceNeed[];
}

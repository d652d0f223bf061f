import type { FileVersion } from "../internal/file-version.js";
import type { Definition } from "../llb/definition.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { ContentStore, WritableLayoutOptions } from "../session/content-store.js";
import type { Session } from "../session/session.js";
import type { FrontendRequest } from "./frontend/frontend-solve.js";
import type { Gateway } from "./gateway/gateway.js";
import type { GatewayReturn } from "./gateway/result.js";
import type { SolveSettings } from "./solve-settings.js";

/** A build as a program on this side: see `Client.build`. `undefined` = an empty result. */
export type BuildFunction = (gateway: Gateway) => Promise<GatewayReturn | undefined>;

/** What is solved, in one of its forms. */
export interface Solved {
  /** A graph; `undefined` = an empty (scratch) result, if there is neither `build` nor `frontend`. */
  readonly definition?: Definition | undefined;
  /** Makes the result by asking the daemon, in place of one definition. Returns what is exported. */
  readonly build?: BuildFunction | undefined;
  /** Lets a frontend of the daemon's make the result. */
  readonly frontend?: FrontendRequest | undefined;
  /** The image's config for outputs that have one. A frontend makes its own. */
  readonly config?: ImageConfig | undefined;
}

/** A solve, from a call's options to the daemon: plain data, made once and handed on whole. */
export interface SolveRequest {
  /** The build's id. Must not be that of a running build. */
  readonly ref: string;
  /** What the daemon can do. */
  readonly facts: DaemonFacts;
  /** Checked by `checkSolveSettings`. */
  readonly settings: SolveSettings;
  /** Content stores by the id that the daemon asks for, beside those of the settings' layouts. */
  readonly stores?: ReadonlyMap<string, ContentStore> | undefined;
  /** Versions of files in the layout of the outputs that are known to be whole blobs, by digest. */
  readonly blobVersions?: ReadonlyMap<string, FileVersion> | undefined;
  /** A file that is that blob, whole, for layouts among the outputs: it is copied there, and not sent by the daemon. */
  readonly blobAt?: WritableLayoutOptions["blobAt"];
  /** What is solved, or how that is found out once the session is open: it may ask the daemon for things first. */
  readonly solved: Solved | ((session: Session) => Promise<Solved>);
}

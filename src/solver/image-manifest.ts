import { hostname } from "node:os";
import { posix } from "node:path";
import { KilnError } from "../errors.js";
import type { Definition } from "../llb/definition.js";
import type { DaemonFacts } from "../model/daemon.js";
import type { SolveEvent } from "../model/events.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { ImageManifest } from "../oci/manifest.js";
import type { Connection } from "../rpc/connection.js";
import type { ContentStore } from "../session/content-store.js";
import { manifestStore } from "../session/manifest-store.js";
import { openSession } from "../session/session.js";
import type { Ref } from "./gateway/ref.js";
import { ociLayout } from "./outputs.js";
import { ownCause } from "./own-cause.js";
import { type SessionOwner, sessionServices } from "./session-services.js";
import { runSolve } from "./solve.js";
import type { BuildFunction } from "./solve-request.js";
import type { SolveSettings } from "./solve-settings.js";

/** What {@link describeImage} works with. */
export interface DescribeImageOptions {
  readonly ref: string;
  readonly facts: DaemonFacts;
  /** Trees, layouts, secrets and the like; outputs and cache exports are left out. */
  readonly settings: SolveSettings;
  /** Content stores by the id that the daemon asks for, beside those of the settings' layouts. */
  readonly stores?: ReadonlyMap<string, ContentStore> | undefined;
  readonly definition: Definition;
  readonly config: ImageConfig;
  /** A directory of the image that is looked at: an absolute, clean path. */
  readonly directory: string;
}

/** An image that the daemon has, layers and all. */
export interface DescribedImage {
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  readonly target: TargetDirectory;
}

/** What there is at a path of an image, links followed. */
export interface TargetDirectory {
  /** Where the path leads, relative to the root, without a leading slash. Empty = the root. */
  readonly path: string;
  /** Directories of it that are not there, outermost first, as {@link path} has them. */
  readonly missing: readonly string[];
  /** Whether something is in it. */
  readonly occupied: boolean;
}

/**
 * Builds a graph and tells the image that it makes: its layers as they would be exported, without sending any of them, and
 * what is at one of its paths.
 *
 * Afterwards the daemon has the layers as blobs, and all of it unpacked. The layers are compressed as by default (gzip).
 * Rejects as any solve does; with `ERR_KILN_PROTOCOL` for an answer that is none; with `ERR_KILN_UNSUPPORTED` if the
 * path leads through something that is no directory.
 */
export async function describeImage(
  owner: SessionOwner & { readonly connection: Connection },
  options: DescribeImageOptions,
  emit: (event: SolveEvent) => void,
): Promise<DescribedImage> {
  const { ref, facts, definition, config, directory } = options;
  const {
    outputs: _outputs,
    cacheExports: _exports,
    attestations: _attestations,
    ...settings
  } = options.settings;
  const store = manifestStore();
  const services = sessionServices(owner, settings, {
    outputs: [],
    stores: new Map<string, ContentStore>([...(options.stores ?? []), ["export", store]]),
    chooser: undefined,
  });
  const session = openSession(owner.connection, {
    services: services.services,
    sharedKey: settings.sharedKey ?? hostname(),
  });
  let target: TargetDirectory | undefined;
  const build: BuildFunction = async (gateway) => {
    const result = await gateway.solve({ definition });
    // Looking at it has the daemon fetch what it has not fetched so far of the base.
    target = await lookAt(result.ref, directory);
    return { ref: result.ref };
  };
  try {
    await runSolve(
      owner.connection,
      {
        request: { ref, facts, settings, solved: {} },
        solved: { build, config },
        session,
        outputs: [ociLayout("/")],
        caches: { imports: [], exports: [] },
        masks: services.masks,
      },
      emit,
    );
  } catch (error) {
    throw settings.signal?.aborted === true ? settings.signal.reason : ownCause(error, services);
  } finally {
    await session.close();
    await services.settled();
  }
  const manifest = jsonOf<ImageManifest>(store.received.get(store.noted.at(-1) ?? ""));
  const described = jsonOf<ImageConfig>(store.received.get(manifest.config?.digest));
  const diffIds = described.rootfs?.diff_ids;
  if (!Array.isArray(manifest.layers) || diffIds?.length !== manifest.layers.length || target === undefined) {
    throw new KilnError("ERR_KILN_PROTOCOL", "the daemon exported an image whose layers cannot be told");
  }
  return { manifest, config: described, target };
}

async function lookAt(ref: Ref | undefined, directory: string): Promise<TargetDirectory> {
  if (ref === undefined) return { path: directory.slice(1), missing: pathsTo(directory), occupied: false };
  let at = "";
  const names = directory.split("/").filter((name) => name !== "");
  // An image without links has as many steps as the path; each link adds those of its target.
  for (let steps = 0; names.length > 0; steps += 1) {
    if (steps > 255) throw notDirectory(directory, "too many links");
    const name = names.shift() ?? "";
    if (name === "..") {
      at = posix.dirname(`/${at}`).slice(1);
      continue;
    }
    const [found] = (await ref.readDir(`/${at}`, { includePattern: escapeGlob(name) })).filter(
      ({ path }) => posix.basename(path) === name,
    );
    const path = at === "" ? name : `${at}/${name}`;
    if (found === undefined) {
      const rest = [name, ...names];
      if (rest.includes("..")) throw notDirectory(directory, `${path} is not there`);
      const whole = `/${[at, ...rest].filter((part) => part !== "").join("/")}`;
      const missing = pathsTo(whole).filter((each) => each.length > at.length && each.startsWith(path));
      return { path: whole.slice(1), missing, occupied: false };
    }
    if (found.type === "symlink") {
      const link = found.linkTarget ?? "";
      if (link.startsWith("/")) at = "";
      names.unshift(...link.split("/").filter((part) => part !== "" && part !== "."));
      continue;
    }
    if (found.type !== "directory") throw notDirectory(directory, `${path} is a ${found.type}`);
    at = path;
  }
  return { path: at, missing: [], occupied: (await ref.readDir(`/${at}`)).length > 0 };
}

/** All directories that lead to a path, outermost first, without leading slashes. */
function pathsTo(path: string): readonly string[] {
  const names = path.split("/").filter((name) => name !== "");
  return names.map((_, index) => names.slice(0, index + 1).join("/"));
}

function escapeGlob(name: string): string {
  return name.replaceAll(/[\\*?[\]]/g, "\\$&");
}

function notDirectory(directory: string, why: string): KilnError {
  return new KilnError("ERR_KILN_UNSUPPORTED", `${directory} leads to no directory of the image: ${why}`);
}

function jsonOf<T>(bytes: Buffer | undefined): Partial<T> & T {
  try {
    return JSON.parse(bytes?.toString("utf8") ?? "") as T;
  } catch (error) {
    throw new KilnError("ERR_KILN_PROTOCOL", "the daemon exported no image that can be read", {
      cause: error,
    });
  }
}

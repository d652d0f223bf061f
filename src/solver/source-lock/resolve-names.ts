import { KilnError } from "../../errors.js";
import type { Definition } from "../../llb/definition.js";
import { type DefinitionSource, sourcesOf } from "../../llb/rewrite-sources.js";
import type { Platform } from "../../oci/platform.js";
import type { Client, ClientSolveOptions } from "../client.js";
import type { Gateway } from "../gateway/gateway.js";
import type { SourceMeta } from "../gateway/source-meta.js";
import { localDir } from "../outputs.js";
import { SolveError } from "../solve-error.js";
import { emptyGraphOf, provenancePin } from "./provenance-pin.js";
import { resolveLockedImage } from "./resolve-image.js";
import {
  describeName,
  keyOf,
  type LockedSource,
  type PullMode,
  type SourceLock,
  type SourceName,
} from "./source-lock.js";
import { nameOfSource } from "./source-name.js";

/** At most so many sources are asked about at once. */
const atOnce = 4;

/** What the daemon gets for the resolution of sources. */
export type ResolveNamesOptions = Pick<
  ClientSolveOptions,
  "credentials" | "secrets" | "ssh" | "sourcePolicy" | "signal"
> & {
  /** `always` asks the registry even where the daemon has an image of that name. */
  readonly pull: PullMode;
  /** Of images without one. */
  readonly platform: Platform | undefined;
  /** What is locked: the other platforms of an image take its digest from there if it has them. */
  readonly held: SourceLock;
};

interface Wanted {
  readonly name: SourceName;
  readonly source: DefinitionSource;
  readonly definition: Definition;
}

/**
 * Asks a daemon what sources are now.
 *
 * Images, and from BuildKit 0.26 on the others too, are resolved without fetching them. Older daemons fetch what a build
 * of the source would, and say in its provenance what it was. No content comes to this side.
 *
 * Rejects with a `SolveError` that names the source, or as `Client.solve` does.
 */
export async function resolveNames(
  client: Client,
  definitions: readonly Definition[],
  names: readonly SourceName[],
  options: ResolveNamesOptions,
): Promise<readonly LockedSource[]> {
  const { credentials, secrets, ssh, sourcePolicy, signal } = options;
  const build = { credentials, secrets, ssh, sourcePolicy, signal, internal: true };
  const wanted = findSources(definitions, names, options.platform);
  const found: LockedSource[] = [];
  const unknown: Wanted[] = [];
  await client.build(async (gateway): Promise<undefined> => {
    await inBounds(wanted, async (one) => {
      const entry = await naming(one.name, () => resolveByGateway(client, gateway, one, options));
      if (entry === undefined) unknown.push(one);
      else found.push(entry);
    });
  }, build).result;
  await inBounds(unknown, async ({ name, source, definition }) => {
    if (name.type === "image") return;
    const graph = emptyGraphOf(definition, source.op.digest);
    const write = (dir: string): Promise<unknown> =>
      client.solve(graph, {
        ...build,
        outputs: [localDir(dir)],
        attestations: { provenance: { mode: "min" } },
      }).result;
    const pin = await naming(name, () => provenancePin(name.type, write));
    found.push(name.type === "git" ? { ...name, commit: pin } : { ...name, digest: pin });
  });
  return found;
}

function findSources(
  definitions: readonly Definition[],
  names: readonly SourceName[],
  platform: Platform | undefined,
): readonly Wanted[] {
  const open = new Map(names.map((name) => [keyOf(name), name]));
  const wanted: Wanted[] = [];
  for (const definition of definitions) {
    for (const source of sourcesOf(definition)) {
      const own = nameOfSource(source, platform);
      const name = own === undefined ? undefined : open.get(keyOf(own));
      if (name === undefined) continue;
      open.delete(keyOf(name));
      wanted.push({ name, source, definition });
    }
  }
  return wanted;
}

async function resolveByGateway(
  client: Client,
  gateway: Gateway,
  { name, source }: Wanted,
  options: ResolveNamesOptions,
): Promise<LockedSource | undefined> {
  if (name.type === "image") {
    const platform = source.platform ?? options.platform ?? (await ownPlatform(client, options.signal));
    const mode = source.attrs["image.resolvemode"];
    const { digest } = await resolveLockedImage(gateway, name, {
      platform,
      lock: options.held,
      pull: options.pull,
      resolveMode: mode === "local" || mode === "pull" ? mode : "default",
    });
    return { ...name, digest };
  }
  const { identifier, attrs } = source;
  let meta: SourceMeta;
  try {
    meta = await gateway.resolveSourceMeta({ identifier, attrs });
  } catch (error) {
    if (error instanceof KilnError && error.code === "ERR_KILN_UNSUPPORTED") return undefined;
    throw error;
  }
  if (name.type === "git") {
    if (meta.git === undefined) return undefined;
    const { checksum, commitChecksum } = meta.git;
    if (commitChecksum === "" || commitChecksum === checksum) return { ...name, commit: checksum };
    return { ...name, commit: commitChecksum, tag: checksum };
  }
  if (meta.http === undefined) return undefined;
  const { digest, lastModified } = meta.http;
  return {
    ...name,
    digest,
    ...(lastModified === undefined ? {} : { lastModified: lastModified.toISOString() }),
  };
}

async function ownPlatform(client: Client, signal: AbortSignal | undefined): Promise<Platform> {
  const { workers } = await client.facts({ signal });
  return workers[0]?.platforms[0] ?? { os: "linux", architecture: "amd64" };
}

/** Puts a source's name before the daemon's error about it. */
async function naming<T>(name: SourceName, resolve: () => Promise<T>): Promise<T> {
  try {
    return await resolve();
  } catch (error) {
    if (!(error instanceof SolveError)) throw error;
    throw new SolveError(error.code, `cannot lock ${describeName(name)}: ${error.message}`, {
      cause: error,
      hint: error.hint ?? "Check that the daemon reaches it.",
      logTail: error.logTail,
    });
  }
}

/** Calls `use` for every item, a few at a time. After a failure no further ones are begun. */
async function inBounds<T>(items: readonly T[], use: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const lanes = Array.from({ length: Math.min(atOnce, items.length) }, async () => {
    for (const item of rest) await use(item);
  });
  const results = await Promise.allSettled(lanes);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

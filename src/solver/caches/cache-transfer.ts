import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { wrongArgument } from "../../llb/check-argument.js";
import { annotationKeys, type Descriptor } from "../../oci/descriptor.js";
import { initOciLayout, updateOciIndex } from "../../oci/layout-writer.js";
import type { ImageIndex } from "../../oci/manifest.js";
import { mediaTypes } from "../../oci/media-types.js";
import { removeUnreferencedBlobs } from "../../oci/remove-unreferenced.js";
import {
  type ContentStore,
  layoutStore,
  type WritableContentStore,
  writableLayoutStore,
} from "../../session/content-store.js";
import { type CacheExport, type CacheOptions, cacheAttrs } from "./cache-options.js";
import { withGithubJob } from "./github-job.js";

/** A cache as the daemon is told of it. */
export interface CacheEntry {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** The caches of a solve, prepared. */
export interface CacheTransfer {
  readonly exports: readonly CacheEntry[];
  readonly imports: readonly CacheEntry[];
  /** Content stores that the session serves for local caches, by store id. */
  readonly stores: ReadonlyMap<string, ContentStore>;
  /** What could not be imported and why: the build goes on without it. */
  readonly skipped: readonly string[];
  /** Writes the indexes of exported local caches. Call after a solve that succeeded. */
  finish(): Promise<void>;
}

/**
 * Prepares the caches of a solve.
 *
 * Directories of local caches stay on this machine: the daemon addresses them by an id made from their path (a path
 * itself would have to be ASCII) and reads and writes them through the session. A directory to import that has no such
 * cache is skipped with a note, as by BuildKit's client: the first build of a pipeline has none. `env` is where GitHub's
 * cache finds the job that this is.
 */
export async function prepareCaches(
  options: CacheOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<CacheTransfer> {
  const cacheExports = (options.cacheExports ?? []).map((cache) => withGithubJob(cache, env));
  const cacheImports = (options.cacheImports ?? []).map((cache) => withGithubJob(cache, env));
  const stores = new Map<string, ContentStore>();
  const written: { readonly cache: LocalExport; readonly store: WritableContentStore }[] = [];
  const exports: CacheEntry[] = [];
  for (const [index, cache] of cacheExports.entries()) {
    const attrs = cacheAttrs("export", index, cache);
    if (cache.type === "local") {
      const id = storeId(cache.dir);
      if (stores.has(`local:${id}`)) {
        throw wrongArgument(
          `cacheExports[${index}]`,
          `${cache.dir} is written twice`,
          "Write each cache into a directory of its own.",
        );
      }
      const store = writableLayoutStore(cache.dir);
      await mkdir(cache.dir, { recursive: true });
      written.push({ cache, store });
      stores.set(`local:${id}`, store);
      attrs["dest"] = id;
    }
    exports.push({ type: cache.type, attrs });
  }
  const imports: CacheEntry[] = [];
  const skipped: string[] = [];
  for (const [index, cache] of cacheImports.entries()) {
    const attrs = cacheAttrs("import", index, cache);
    if (cache.type === "local") {
      const digest = cache.digest ?? (await digestOfTag(cache.dir, cache.tag ?? "latest"));
      if (digest === undefined) {
        skipped.push(`there is no cache ${cache.tag ?? "latest"} in ${cache.dir} to import`);
        continue;
      }
      const id = storeId(cache.dir);
      if (!stores.has(`local:${id}`)) stores.set(`local:${id}`, layoutStore(cache.dir));
      attrs["src"] = id;
      attrs["digest"] = digest;
    }
    imports.push({ type: cache.type, attrs });
  }
  return {
    exports,
    imports,
    stores,
    skipped,
    async finish() {
      for (const { cache, store } of written) await finishLocal(cache, store);
    },
  };
}

type LocalExport = Extract<CacheExport, { readonly type: "local" }>;

function storeId(dir: string): string {
  return createHash("sha256").update(resolve(dir)).digest("hex").slice(0, 32);
}

async function digestOfTag(dir: string, tag: string): Promise<string | undefined> {
  let index: ImageIndex;
  try {
    index = JSON.parse(await readFile(join(dir, "index.json"), "utf8")) as ImageIndex;
  } catch {
    return undefined;
  }
  return index.manifests.find(({ annotations }) => annotations?.[annotationKeys.refName] === tag)?.digest;
}

async function finishLocal(cache: LocalExport, store: WritableContentStore): Promise<void> {
  // The daemon writes a cache's manifest last, when all that it names is there.
  const digest = store.noted.at(-1);
  if (digest === undefined) return;
  await initOciLayout(cache.dir);
  const bytes = await readFile(join(cache.dir, "blobs", "sha256", digest.slice("sha256:".length)));
  const { mediaType } = JSON.parse(bytes.toString("utf8")) as { readonly mediaType?: string };
  const descriptor: Descriptor = { mediaType: mediaType ?? mediaTypes.ociIndex, digest, size: bytes.length };
  await updateOciIndex(cache.dir, descriptor, { tag: cache.tag });
  if (cache.reset === true) await removeUnreferencedBlobs(cache.dir);
}

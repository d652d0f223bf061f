import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Descriptor } from "./descriptor.js";
import { mediaTypes } from "./media-types.js";

/** Blobs of these types name other blobs. */
const parents: ReadonlySet<string> = new Set([
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
  mediaTypes.dockerManifestList,
]);

interface Parent {
  readonly manifests?: readonly Descriptor[] | undefined;
  readonly config?: Descriptor | undefined;
  readonly layers?: readonly Descriptor[] | undefined;
}

/**
 * Deletes the blobs of an OCI layout that its index does not lead to. Returns how many.
 *
 * Rejects before it deletes anything if the index or a blob that names others cannot be read: what it names is unknown.
 */
export async function removeUnreferencedBlobs(dir: string): Promise<number> {
  const blobs = join(dir, "blobs", "sha256");
  const kept = new Set<string>();
  const pending: Parent[] = [JSON.parse(await readFile(join(dir, "index.json"), "utf8")) as Parent];
  for (let parent = pending.pop(); parent !== undefined; parent = pending.pop()) {
    const { manifests = [], config, layers = [] } = parent;
    for (const { digest, mediaType } of [
      ...manifests,
      ...(config === undefined ? [] : [config]),
      ...layers,
    ]) {
      const hex = digest.slice("sha256:".length);
      if (kept.has(hex)) continue;
      kept.add(hex);
      if (!parents.has(mediaType)) continue;
      pending.push(JSON.parse(await readFile(join(blobs, hex), "utf8")) as Parent);
    }
  }
  const loose = (await readdir(blobs)).filter((name) => !kept.has(name));
  for (const name of loose) await rm(join(blobs, name), { force: true });
  return loose.length;
}

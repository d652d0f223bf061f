import { createHash } from "node:crypto";
import type { CacheIndex } from "../../cache/records/cache-index.js";
import { keepManifest, keptManifest } from "./kept-manifests.js";
import type { ScannedInput } from "./scan-inputs.js";

/** Notes that a daemon has a copy of a tree as it is now. */
export async function noteUpload(
  index: CacheIndex,
  daemon: string,
  { key, manifest }: Pick<ScannedInput, "key" | "manifest">,
): Promise<void> {
  const record = recordKey(daemon, key);
  if ((await index.read("daemons", record)) === manifest.digest) return;
  await keepManifest(index, manifest);
  await index.write("daemons", record, manifest.digest);
}

/** Bytes of a tree's files that its daemon has not, if it still has the copy that it got last. */
export async function bytesToUpload(
  index: CacheIndex,
  daemon: string,
  { key, manifest }: Pick<ScannedInput, "key" | "manifest">,
): Promise<number> {
  const digest = await index.read("daemons", recordKey(daemon, key));
  if (digest === manifest.digest) return 0;
  const before = typeof digest === "string" ? await keptManifest(index, digest) : undefined;
  if (before === undefined) return manifest.bytes;
  const had = new Map<string, string>();
  for (const { path, sha256 } of before.entries()) if (sha256 !== "") had.set(path, sha256);
  let bytes = 0;
  for (const { path, sha256, size } of manifest.entries()) {
    if (sha256 !== "" && had.get(path) !== sha256) bytes += size;
  }
  return bytes;
}

function recordKey(daemon: string, key: string): string {
  return createHash("sha256")
    .update(JSON.stringify(["upload v1", daemon, key]))
    .digest("hex");
}

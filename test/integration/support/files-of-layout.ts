import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import type { Descriptor, ImageIndex, ImageManifest } from "../../../src/oci/index.js";

/**
 * Contents of the regular files of a layout's one image, by path. Reads it as another tool would: every blob is hashed.
 * Rejects for whatever is missing or wrong. Knows gzip and plain layers, and no whiteouts.
 */
export async function filesOfLayout(dir: string): Promise<ReadonlyMap<string, string>> {
  JSON.parse(readFileSync(join(dir, "oci-layout"), "utf8"));
  const { manifests } = JSON.parse(readFileSync(join(dir, "index.json"), "utf8")) as ImageIndex;
  const [root, ...others] = manifests;
  if (root === undefined || others.length > 0) throw new Error(`${dir} has ${manifests.length} images`);
  const { config, layers } = JSON.parse(blob(dir, root).toString("utf8")) as ImageManifest;
  JSON.parse(blob(dir, config).toString("utf8"));
  const files = new Map<string, string>();
  for (const layer of layers) {
    const bytes = blob(dir, layer);
    const tar = extract();
    tar.end(bytes[0] === 0x1f ? gunzipSync(bytes) : bytes);
    for await (const entry of tar) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      if (entry.header.type === "file")
        files.set(entry.header.name.replace(/^\.?\//, ""), Buffer.concat(chunks).toString("latin1"));
    }
  }
  return files;
}

function blob(dir: string, { digest, size }: Descriptor): Buffer {
  const bytes = readFileSync(join(dir, "blobs", ...digest.split(":")));
  const found = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (found !== digest || bytes.length !== size) throw new Error(`${digest} in ${dir} is ${found}`);
  return bytes;
}

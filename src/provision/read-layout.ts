import { readFile } from "node:fs/promises";
import { join } from "node:path";

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
}

/** The one image of a layout that this program wrote. */
export interface ReadLayout {
  /** The manifest's line in the index. */
  readonly entry: Blob;
  /** The manifest as it lies there. */
  readonly bytes: Buffer;
  readonly manifest: { readonly config: Blob; readonly layers: readonly Blob[] };
  readonly config: {
    readonly rootfs: { readonly diff_ids: readonly string[] };
    readonly history: readonly object[];
  };
}

/** Reads the one image of an OCI layout directory that `writeLayout` wrote. Rejects where there is none. */
export async function readLayout(dir: string): Promise<ReadLayout> {
  const read = (digest: string): Promise<Buffer> => readFile(blobPath(dir, digest));
  const index = JSON.parse(await readFile(join(dir, "index.json"), "utf8")) as { manifests: readonly Blob[] };
  const [entry] = index.manifests;
  if (entry === undefined) throw new Error(`the layout ${dir} is empty`);
  const bytes = await read(entry.digest);
  const manifest = JSON.parse(bytes.toString("utf8")) as ReadLayout["manifest"];
  const config = JSON.parse((await read(manifest.config.digest)).toString("utf8")) as ReadLayout["config"];
  return { entry, bytes, manifest, config };
}

/** The file of a blob in a layout directory. */
export function blobPath(dir: string, digest: string): string {
  return join(dir, "blobs", "sha256", digest.slice("sha256:".length));
}

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";
import { decompress } from "fzstd";
import { extract, type Header } from "tar-stream";
import type { Descriptor, ImageConfig, ImageIndex, ImageManifest } from "../../../src/oci/index.js";

/** One path of an image as its layers make it. */
export interface ImageFile {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly linkname: string | undefined;
  /** sha256 of the content of a regular file. */
  readonly sha256: string | undefined;
}

/** An image read back. */
export interface ReadImage {
  readonly digest: string;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  /** By path without a leading slash; hard links carry the first path in `linkname`. */
  readonly files: ReadonlyMap<string, ImageFile>;
}

const accept = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
].join(", ");

/** One entry of a layer's tar. */
interface LayerEntry {
  readonly header: Header;
  readonly sha256: string;
}

/** Layers that were read by this process: bases come again and again, and take seconds. */
const known = new Map<string, readonly LayerEntry[]>();

/**
 * Reads `host:port/name:tag` back over plain HTTP, every blob checked against its digest. Of layers that were read before,
 * which the registry keeps once for all names, it asks only whether they are there.
 */
export async function readRegistryImage(ref: string): Promise<ReadImage> {
  const match = /^([^/]+)\/(.+):([^:/]+)$/.exec(ref);
  if (match === null) throw new Error(`not a reference: ${ref}`);
  const [, host, name, tag] = match;
  const base = `http://${host}/v2/${name}`;
  const response = await fetch(`${base}/manifests/${tag}`, { headers: { accept } });
  if (!response.ok) throw new Error(`GET ${ref}: ${response.status} ${await response.text()}`);
  const ask = async (method: string, digest: string): Promise<Response> => {
    const blob = await fetch(`${base}/blobs/${digest}`, { method });
    if (!blob.ok) throw new Error(`${method} ${digest}: ${blob.status}`);
    return blob;
  };
  return readImage(
    ref,
    Buffer.from(await response.arrayBuffer()),
    async (digest) => Buffer.from(await (await ask("GET", digest)).arrayBuffer()),
    async ({ digest, size }) => {
      const length = (await ask("HEAD", digest)).headers.get("content-length");
      if (Number(length) !== size) throw new Error(`${digest} has ${length} bytes, not ${size}`);
    },
  );
}

/** Reads the only image of an OCI layout, every blob checked against its digest and size. */
export async function readLayoutImage(dir: string): Promise<ReadImage> {
  const blob = (digest: string): Promise<Buffer> => readFile(join(dir, "blobs", ...digest.split(":")));
  const { manifests } = JSON.parse(await readFile(join(dir, "index.json"), "utf8")) as ImageIndex;
  const [descriptor, ...others] = manifests;
  if (descriptor === undefined || others.length > 0) throw new Error(`${dir} has ${manifests.length} images`);
  return readImage(dir, checked(descriptor, await blob(descriptor.digest)), blob);
}

async function readImage(
  name: string,
  bytes: Buffer,
  blob: (digest: string) => Promise<Buffer>,
  expectBlob?: (of: Descriptor) => Promise<void>,
): Promise<ReadImage> {
  const manifest = JSON.parse(bytes.toString("utf8")) as ImageManifest & ImageIndex;
  if (manifest.manifests !== undefined) throw new Error(`${name} is an index`);
  const read = async (of: Descriptor): Promise<Buffer> => checked(of, await blob(of.digest));
  const config = JSON.parse((await read(manifest.config)).toString("utf8")) as ImageConfig;
  const files = new Map<string, ImageFile>();
  for (const layer of manifest.layers) {
    let entries = expectBlob === undefined ? undefined : known.get(layer.digest);
    if (entries === undefined) {
      entries = await entriesOf(inflate(layer, await read(layer)));
      known.set(layer.digest, entries);
    } else {
      await expectBlob?.(layer);
    }
    for (const { header, sha256 } of entries) apply(files, header, sha256);
  }
  return { digest: digestOf(bytes), manifest, config, files };
}

function checked({ digest, size }: Descriptor, bytes: Buffer): Buffer {
  if (digestOf(bytes) !== digest || bytes.length !== size) throw new Error(`${digest} is damaged`);
  return bytes;
}

function inflate(layer: Descriptor, bytes: Buffer): Buffer {
  if (layer.mediaType.endsWith("gzip")) return gunzipSync(bytes);
  if (layer.mediaType.endsWith("zstd")) return Buffer.from(decompress(bytes));
  return bytes;
}

async function entriesOf(tar: Buffer): Promise<readonly LayerEntry[]> {
  const entries: LayerEntry[] = [];
  const extractor = extract();
  Readable.from([tar]).pipe(extractor);
  for await (const entry of extractor) {
    const hash = createHash("sha256");
    for await (const chunk of entry) hash.update(chunk as Buffer);
    entries.push({ header: entry.header, sha256: hash.digest("hex") });
  }
  return entries;
}

function apply(files: Map<string, ImageFile>, header: Header, sha256: string): void {
  const path = header.name.replace(/^\.?\//, "").replace(/\/$/, "");
  // eStargz's own entries are no files of the image.
  if (path === "" || path === "stargz.index.json" || path === ".no.prefetch.landmark") return;
  const slash = path.lastIndexOf("/") + 1;
  const name = path.slice(slash);
  if (name.startsWith(".wh.")) {
    if (name === ".wh..wh..opq") removeTree(files, path.slice(0, slash), false);
    else removeTree(files, path.slice(0, slash) + name.slice(4), true);
    return;
  }
  files.set(path, {
    type: header.type ?? "file",
    mode: (header.mode ?? 0) & 0o7777,
    uid: header.uid ?? 0,
    gid: header.gid ?? 0,
    // Where times have fractions, an attribute has them whole.
    mtime: Number(Reflect.get(header.pax ?? {}, "mtime") ?? (header.mtime?.getTime() ?? 0) / 1000),
    linkname: header.linkname ?? undefined,
    sha256: header.type === "file" ? sha256 : undefined,
  });
}

function removeTree(files: Map<string, ImageFile>, path: string, self: boolean): void {
  const prefix = path.endsWith("/") ? path : `${path}/`;
  for (const key of [...files.keys()])
    if (key.startsWith(prefix) || (self && key === path)) files.delete(key);
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

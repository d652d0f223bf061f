import { createHash, randomBytes } from "node:crypto";
import { constants, createWriteStream } from "node:fs";
import { copyFile, mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { readLayout } from "./read-layout.js";

/** What an image is made of: a layer of its own, be it upon another image's. */
export interface NewImage {
  /** Layout directory of the one image whose layers lie below. Default none. */
  readonly base?: string | undefined;
  /** The layer, uncompressed. */
  readonly tar: Readable;
  /** OCI's name of the processor. */
  readonly architecture: string;
  /** `config` of the image config: Env, Cmd, … */
  readonly config: Readonly<Record<string, unknown>>;
  /** One line for the history. */
  readonly createdBy: string;
  readonly tag: string;
}

/** Enough for a base that is made once; better compression would cost more than it saves. */
const gzipLevel = 4;

/**
 * Writes an image as an OCI layout directory, whole or not at all: it takes its name last. A layout that
 * stands there is replaced.
 */
export async function writeLayout(dir: string, image: NewImage): Promise<void> {
  const scratch = `${dir}.${randomBytes(6).toString("hex")}`;
  const blobs = join(scratch, "blobs", "sha256");
  try {
    await mkdir(blobs, { recursive: true });
    const layer = join(blobs, "layer");
    const plain = hashing();
    const packed = hashing();
    await pipeline(
      image.tar,
      plain.stream,
      createGzip({ level: gzipLevel }),
      packed.stream,
      createWriteStream(layer),
    );
    const layerHex = packed.hex();
    await rename(layer, join(blobs, layerHex));
    const size = (await stat(join(blobs, layerHex))).size;
    const put = async (json: object): Promise<{ digest: string; size: number }> => {
      const bytes = Buffer.from(JSON.stringify(json));
      const hex = createHash("sha256").update(bytes).digest("hex");
      await writeFile(join(blobs, hex), bytes);
      return { digest: `sha256:${hex}`, size: bytes.length };
    };
    const below = image.base === undefined ? undefined : await copyBase(image.base, blobs);
    const config = await put({
      architecture: image.architecture,
      os: "linux",
      created: "1980-01-01T00:00:02Z",
      config: image.config,
      rootfs: { type: "layers", diff_ids: [...(below?.diffIds ?? []), `sha256:${plain.hex()}`] },
      history: [...(below?.history ?? []), { created: "1980-01-01T00:00:02Z", created_by: image.createdBy }],
    });
    const oci = "application/vnd.oci.image";
    const manifest = await put({
      schemaVersion: 2,
      mediaType: `${oci}.manifest.v1+json`,
      config: { mediaType: `${oci}.config.v1+json`, ...config },
      layers: [
        ...(below?.layers ?? []),
        { mediaType: `${oci}.layer.v1.tar+gzip`, digest: `sha256:${layerHex}`, size },
      ],
    });
    const annotations = { "org.opencontainers.image.ref.name": image.tag };
    const platform = { architecture: image.architecture, os: "linux" };
    const entry = { mediaType: `${oci}.manifest.v1+json`, ...manifest, platform, annotations };
    await writeFile(join(scratch, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    await writeFile(
      join(scratch, "index.json"),
      JSON.stringify({ schemaVersion: 2, mediaType: `${oci}.index.v1+json`, manifests: [entry] }),
    );
    await mkdir(dirname(dir), { recursive: true });
    await rm(dir, { recursive: true, force: true });
    await rename(scratch, dir);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Base {
  readonly layers: readonly object[];
  readonly diffIds: readonly string[];
  readonly history: readonly object[];
}

/** Reads the one image of a layout and copies its layers. */
async function copyBase(dir: string, blobs: string): Promise<Base> {
  const { manifest, config } = await readLayout(dir);
  for (const { digest } of manifest.layers) {
    const hex = digest.slice("sha256:".length);
    await copyFile(join(dir, "blobs", "sha256", hex), join(blobs, hex), constants.COPYFILE_FICLONE);
  }
  return { layers: manifest.layers, diffIds: config.rootfs.diff_ids, history: config.history };
}

function hashing(): { readonly stream: Transform; readonly hex: () => string } {
  const hash = createHash("sha256");
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  return { stream, hex: () => hash.digest("hex") };
}

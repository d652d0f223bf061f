import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pack } from "tar-stream";
import { imageOfLayers, type MadeBlob } from "../../../src/oci/image-of-layers.js";
import { type Descriptor, type ImageManifest, mediaTypes, sha256 } from "../../../src/oci/index.js";
import { RegistryClient } from "../../../src/oci/registry/registry-client.js";
import { baseLayout, registry } from "./engines.js";

/** Programs that install nothing, at once, whatever they are told. */
const programs = ["python", "pip", "apt-get"];

/** Which image a name stands for. */
export interface StandIn {
  readonly content?: string;
  readonly platforms?: readonly string[];
}

/** Images for tests that need bases of their own, where only the names of programs count and not what they install. */
export class StandInBases {
  readonly #busybox: { readonly layer: Descriptor; readonly diffId: string };
  readonly #repository: string;
  readonly #mark: string;
  /** What is there by place and name, and when it will be. */
  readonly #puts = new Map<string, { readonly content: string; readonly done: Promise<void> }>();

  private constructor(busybox: { readonly layer: Descriptor; readonly diffId: string }) {
    this.#busybox = busybox;
    this.#mark = Math.random().toString(36).slice(2);
    this.#repository = `${registry()}/stand-ins/${this.#mark}`;
  }

  static async open(): Promise<StandInBases> {
    const json = async (digest: string): Promise<unknown> =>
      JSON.parse(await readFile(blobPath(digest), "utf8"));
    const index = JSON.parse(await readFile(join(baseLayout("busybox"), "index.json"), "utf8")) as {
      readonly manifests: readonly Descriptor[];
    };
    const manifest = (await json(index.manifests[0]?.digest ?? "")) as ImageManifest;
    const config = (await json(manifest.config.digest)) as {
      readonly rootfs: { readonly diff_ids: readonly string[] };
    };
    const [layer] = manifest.layers;
    if (layer === undefined) throw new Error("the busybox has no layer");
    return new StandInBases({ layer, diffId: config.rootfs.diff_ids[0] ?? "" });
  }

  /** What `docker.io` is to be taken from, so that it has the images that were put `at` a place. */
  mirror(at: string): string {
    return `${this.#repository}/${at}`;
  }

  /**
   * Puts an image at a place, under a name as people write it, unless it is there. It shares no layer but the first with
   * that of another place, name or `content`. For `platforms` other than this machine's it has the same programs.
   */
  async put(
    at: string,
    name: string,
    { content = "", platforms = ["linux/amd64"] }: StandIn = {},
  ): Promise<void> {
    const key = `${at} ${name}`;
    let put = this.#puts.get(key);
    if (put?.content !== content) {
      put = { content, done: this.#put(at, name, { content, platforms }) };
      this.#puts.set(key, put);
    }
    await put.done;
  }

  async #put(at: string, name: string, { content, platforms }: Required<StandIn>): Promise<void> {
    const [path = "", tag = "latest"] = name.replace(/^docker\.io\/(?:library\/)?/, "").split(":");
    const client = new RegistryClient(`${this.mirror(at)}/library/${path}`, { insecure: true });
    try {
      const manifests = await Promise.all(
        platforms.map((platform) =>
          this.#putImage(client, platform, `${this.#mark} ${at} ${name} ${content} ${platform}`),
        ),
      );
      const [only] = manifests;
      if (manifests.length === 1 && only !== undefined) {
        await client.putManifest(tag, only.descriptor.mediaType, only.bytes);
        return;
      }
      for (const { descriptor, bytes } of manifests) {
        await client.putManifest(descriptor.digest, descriptor.mediaType, bytes);
      }
      const index = {
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: manifests.map(({ descriptor }, at) => {
          const [os, architecture] = (platforms[at] ?? "").split("/");
          return { ...descriptor, platform: { os, architecture } };
        }),
      };
      await client.putManifest(tag, index.mediaType, Buffer.from(JSON.stringify(index)));
    } finally {
      client.close();
    }
  }

  async #putImage(client: RegistryClient, platform: string, mark: string): Promise<MadeBlob> {
    const [os = "", architecture = ""] = platform.split("/");
    const tar = await programsLayer(mark);
    const layer = { mediaType: mediaTypes.ociLayer, digest: sha256(tar), size: tar.length };
    const image = imageOfLayers(
      {
        ...{ os, architecture },
        config: { Env: ["PATH=/usr/local/bin:/usr/bin:/bin"], Cmd: ["sh"] },
        rootfs: { type: "layers", diff_ids: [this.#busybox.diffId, layer.digest] },
      },
      [this.#busybox.layer, layer],
    );
    const { config, manifest } = image;
    const busybox = this.#busybox.layer;
    await Promise.all([
      client.uploadBlob(busybox, blobPath(busybox.digest), { mountFrom: "library/busybox" }),
      client.uploadBlob(layer, bytesOf(tar)),
      client.uploadBlob(config.descriptor, bytesOf(config.bytes)),
    ]);
    return manifest;
  }
}

function blobPath(digest: string): string {
  return join(baseLayout("busybox"), "blobs", ...digest.split(":"));
}

function bytesOf(bytes: Buffer): () => AsyncIterable<Uint8Array> {
  return async function* () {
    yield bytes;
  };
}

async function programsLayer(mark: string): Promise<Buffer> {
  const tar = pack();
  for (const name of programs) {
    tar.entry({ name: `usr/bin/${name}`, mode: 0o755, mtime: new Date(0) }, "#!/bin/sh\n");
  }
  tar.entry({ name: "etc/os-release", mode: 0o644, mtime: new Date(0) }, mark);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

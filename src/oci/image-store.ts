import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { KilnError, type KilnErrorOptions } from "../errors.js";
import { dataDirectory } from "../internal/data-directory.js";
import { withDirectoryLock } from "../internal/directory-lock.js";
import { replaceDurably, syncDirectory } from "../internal/durable-file.js";
import { nearestText } from "../internal/nearest-text.js";
import { makeScratchDirectory, sweepScratchDirectories } from "../internal/scratch-directory.js";
import type { Descriptor } from "./descriptor.js";
import { type Digest, digestHex, isDigest, parseDigest } from "./digest.js";
import { imageBlobs } from "./image-blobs.js";
import { parseImageName } from "./image-name.js";
import { type OciLayout, openOciLayout } from "./layout.js";
import type { ImageIndex } from "./manifest.js";
import { isIndexType, isManifestType } from "./media-types.js";
import { formatPlatform } from "./platform.js";
import { createStore, nameOfEntry, publishedAt, readStoreIndex, withName } from "./store-index.js";
import { takeBlob } from "./take-blob.js";

/** What {@link ImageStore.publishFrom} did. */
export interface PublishedImage {
  /** `name:tag`. */
  readonly name: string;
  /** Of the image, or of the index of images. */
  readonly digest: Digest;
}

/** An image found in a store: `openOciLayout(dir)` then `image(digest, platform)`. */
export interface StoredReference {
  /** The store's directory, an OCI layout. */
  readonly dir: string;
  readonly digest: Digest;
  /** `name:tag`; `undefined` if it was asked for by its digest. */
  readonly name: string | undefined;
}

/** An entry of {@link ImageStore.list}. */
export interface StoredImage {
  /** `name:tag`; `undefined` for an image that lost its names to others, and is known by its digest. */
  readonly name: string | undefined;
  readonly digest: Digest;
  /** Such as `linux/amd64`. */
  readonly platforms: readonly string[];
  /** Bytes of all its blobs; images may share some. */
  readonly size: number;
  readonly publishedAt: Date | undefined;
  /** Why the image cannot be used, if its files are damaged; platforms and size are then empty. */
  readonly problem: string | undefined;
}

/** What {@link ImageStore.remove} and {@link ImageStore.gc} removed. */
export interface RemovedImages {
  /** `name:tag` each. */
  readonly names: readonly string[];
  /** Images that are gone: nothing names them any more. */
  readonly digests: readonly Digest[];
  /** Bytes of the blobs that were deleted. */
  readonly freed: number;
}

/** Options of {@link ImageStore}'s methods that write. */
export interface StoreWriteOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Where images are published to by default: `images` in Kiln's data directory (see {@link dataDirectory}). */
export function imageStoreDirectory(
  env: Readonly<Record<string, string | undefined>> = process.env,
  home: string = homedir(),
): string {
  return join(dataDirectory(env, home), "images");
}

/**
 * Images that were published under names, on this machine: an OCI image layout (`index.json` with
 * `org.opencontainers.image.ref.name`, shared blobs), which any tool that reads layouts can read.
 *
 * It is no cache: what is in it stays until it is removed. Many processes may use it at once, and one may be killed at any
 * instant: blobs are written aside, checked and on disk before they get their names, and the index is replaced last and as
 * a whole. What a killed process left is cleaned up by later ones. Removing an image while a build reads it makes that
 * build fail.
 *
 * All methods reject with `ERR_KILN_LAYOUT_INVALID` if the directory is damaged or no store, with
 * `ERR_KILN_FILE_UNREADABLE`, and those that write with `ERR_KILN_OUTPUT_UNWRITABLE`, `ERR_KILN_LOCKED` if another process
 * holds the store for a minute, or the signal's reason.
 */
export class ImageStore {
  /** The store's directory, absolute. */
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Opens a store; the directory is made when the first image is published. */
  static async open(dir: string = imageStoreDirectory()): Promise<ImageStore> {
    // A later change of the working directory must not make it another store.
    const absolute = resolve(dir);
    await readStoreIndex(absolute);
    return new ImageStore(absolute);
  }

  /**
   * Publishes an image of a layout, or an index of images, under a name. A name that is taken moves; the image that had it
   * stays and is found by its digest until it is removed. With the store's own directory as the layout, an image gets a
   * further name.
   *
   * `ref` is a tag, image name or digest in the layout; by default its only image. Rejects with
   * `ERR_KILN_INVALID_REFERENCE` for the name, with `ERR_KILN_LAYOUT_INVALID` if the layout is damaged or incomplete.
   */
  async publishFrom(
    source: OciLayout | string,
    ref: string | undefined,
    name: string,
    options: StoreWriteOptions = {},
  ): Promise<PublishedImage> {
    const { signal } = options;
    const { text } = parseImageName(name);
    const layout = typeof source === "string" ? await openOciLayout(source) : source;
    const root = layout.resolve(ref);
    const digest = parseDigest(root.digest);
    const { blobs, platforms } = await imageBlobs(layout, root);
    const [platform] = platforms;
    const image = isIndexType(root.mediaType) || platform === undefined ? root : { platform, ...root };
    await readStoreIndex(this.dir);
    return this.#writing(async () => {
      const staged = await makeScratchDirectory(join(this.dir, "ingest"));
      try {
        for (let everything = false; ; everything = true) {
          await this.#stage(layout, blobs, staged, { everything, signal });
          if (await this.#commit(blobs, staged, { image, text, signal })) return { name: text, digest };
          // Somebody removed what was here already: now all of it is taken along.
        }
      } finally {
        await rm(staged, { recursive: true, force: true });
      }
    });
  }

  /**
   * Finds an image by its name (`name`, `name:tag`) or digest; also by the digest of one platform's image in an index.
   *
   * Rejects with `ERR_KILN_IMAGE_NOT_FOUND`, whose hint has the nearest names, and with `ERR_KILN_INVALID_REFERENCE`.
   * `options` (the user's call site) goes into these errors.
   */
  async resolve(nameOrDigest: string, options: KilnErrorOptions = {}): Promise<StoredReference> {
    const { manifests } = await this.#index();
    if (!isDigest(nameOrDigest)) {
      const { text } = parseImageName(nameOrDigest, options);
      const found = manifests.find((entry) => nameOfEntry(entry) === text);
      if (found === undefined) throw this.#notFound(text, manifests, options);
      return { dir: this.dir, digest: parseDigest(found.digest), name: text };
    }
    const listed = manifests.some((entry) => entry.digest === nameOrDigest);
    if (!listed && (await this.#indexWith(nameOrDigest, manifests)) === undefined) {
      throw this.#notFound(nameOrDigest, manifests, options);
    }
    return { dir: this.dir, digest: nameOrDigest, name: undefined };
  }

  /** Every name with its image, by name; then the images without one. */
  async list(): Promise<readonly StoredImage[]> {
    for (;;) {
      const { manifests } = await this.#index();
      const images = await this.#describe(manifests);
      // What is missing may have been removed while it was looked at.
      const isCurrent =
        images.every(({ problem }) => problem === undefined) ||
        JSON.stringify((await this.#index()).manifests) === JSON.stringify(manifests);
      if (isCurrent) return images;
    }
  }

  /**
   * Removes a name, or an image by its digest. An image goes with its last name; blobs that other images need stay.
   *
   * Rejects with `ERR_KILN_IMAGE_NOT_FOUND`, and with `ERR_KILN_IMAGE_IN_USE` for the digest of an image that has names,
   * unless `force` removes these too. If another image is damaged, so that what it needs is not known, nothing is removed
   * (`ERR_KILN_LAYOUT_INVALID`): that one has to go first.
   */
  async remove(
    nameOrDigest: string,
    options: StoreWriteOptions & { readonly force?: boolean | undefined } = {},
  ): Promise<RemovedImages> {
    const wanted = isDigest(nameOrDigest) ? nameOrDigest : parseImageName(nameOrDigest).text;
    return this.#removing(options.signal, async (manifests) => {
      const gone = manifests.filter((entry) => entry.digest === wanted || nameOfEntry(entry) === wanted);
      const names = gone.flatMap((entry) => nameOfEntry(entry) ?? []);
      if (gone.length === 0) {
        const parent = isDigest(wanted) ? await this.#indexWith(wanted, manifests) : undefined;
        throw this.#notFound(
          wanted,
          manifests,
          parent === undefined ? {} : { hint: `It is a part of ${parent}.` },
        );
      }
      if (isDigest(wanted) && names.length > 0 && options.force !== true) {
        throw new KilnError("ERR_KILN_IMAGE_IN_USE", `${wanted} is ${names.join(", ")}`, {
          hint: `Remove ${names.length === 1 ? "that name" : "these names"}, or use force.`,
        });
      }
      return gone;
    });
  }

  /** Removes all images that have no name, and blobs that killed processes left. */
  async gc(options: StoreWriteOptions = {}): Promise<RemovedImages> {
    await sweepScratchDirectories(join(this.dir, "ingest"));
    return this.#removing(options.signal, (manifests) =>
      manifests.filter((entry) => nameOfEntry(entry) === undefined),
    );
  }

  async #describe(manifests: readonly Descriptor[]): Promise<readonly StoredImage[]> {
    if (manifests.length === 0) return [];
    const layout = await openOciLayout(this.dir);
    const images: StoredImage[] = [];
    for (const entry of manifests) {
      const common = {
        name: nameOfEntry(entry),
        digest: parseDigest(entry.digest),
        publishedAt: publishedAt(entry),
      };
      try {
        const { blobs, platforms } = await imageBlobs(layout, entry);
        for (const blob of blobs) if (!(await this.#has(blob))) throw incomplete(this.dir, blob);
        const size = blobs.reduce((sum, blob) => sum + blob.size, 0);
        images.push({ ...common, platforms: platforms.map(formatPlatform), size, problem: undefined });
      } catch (error) {
        if (!(error instanceof KilnError)) throw error;
        images.push({ ...common, platforms: [], size: 0, problem: error.message });
      }
    }
    const named = images.filter(({ name }) => name !== undefined);
    const nameless = images.filter(({ name }) => name === undefined);
    return [...named.sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1)), ...nameless];
  }

  async #removing(
    signal: AbortSignal | undefined,
    choose: (manifests: readonly Descriptor[]) => Promise<readonly Descriptor[]> | readonly Descriptor[],
  ): Promise<RemovedImages> {
    // Nothing is made only to be found empty.
    if ((await readStoreIndex(this.dir)) === undefined) {
      await choose([]);
      return { names: [], digests: [], freed: 0 };
    }
    return this.#writing(() =>
      withDirectoryLock(
        this.#lock,
        async () => {
          const index = await this.#index();
          const gone = new Set(await choose(index.manifests));
          const manifests = index.manifests.filter((entry) => !gone.has(entry));
          const kept = await this.#blobsOf(manifests);
          if (gone.size > 0) await this.#replaceIndex({ ...index, manifests });
          const names = [...gone].flatMap((entry) => nameOfEntry(entry) ?? []);
          const left = new Set(manifests.map(({ digest }) => digest));
          const digests = [...new Set([...gone].map(({ digest }) => parseDigest(digest)))].filter(
            (digest) => !left.has(digest),
          );
          return { names, digests, freed: await this.#deleteBlobsBut(kept) };
        },
        { signal },
      ),
    );
  }

  /** Takes what the store has not got into `staged`, or everything. */
  async #stage(
    layout: OciLayout,
    blobs: readonly Descriptor[],
    staged: string,
    options: { readonly everything: boolean; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    const there = new Set(await readdir(staged));
    for (const blob of blobs) {
      const hex = digestHex(parseDigest(blob.digest));
      if (there.has(hex) || (!options.everything && (await this.#has(blob)))) continue;
      await takeBlob(layout.blobPath(blob.digest), join(staged, hex), blob, options.signal);
    }
  }

  /** Names the staged blobs and the image; false if a blob is missing, as one that was here has been removed. */
  async #commit(
    blobs: readonly Descriptor[],
    staged: string,
    options: { readonly image: Descriptor; readonly text: string; readonly signal: AbortSignal | undefined },
  ): Promise<boolean> {
    const { image, text, signal } = options;
    return withDirectoryLock(
      this.#lock,
      async () => {
        const ready = new Set(await readdir(staged));
        const folder = join(this.dir, "blobs", "sha256");
        await mkdir(folder, { recursive: true });
        for (const blob of blobs) {
          if (!ready.has(digestHex(parseDigest(blob.digest))) && !(await this.#has(blob))) return false;
        }
        for (const hex of ready) await rename(join(staged, hex), join(folder, hex));
        await syncDirectory(folder);
        const index = (await readStoreIndex(this.dir)) ?? (await createStore(this.dir));
        const manifests = withName(index.manifests, image, text, new Date());
        await this.#replaceIndex({ ...index, manifests });
        return true;
      },
      { signal },
    );
  }

  async #blobsOf(manifests: readonly Descriptor[]): Promise<ReadonlySet<string>> {
    const kept = new Set<string>();
    if (manifests.length === 0) return kept;
    const layout = await openOciLayout(this.dir);
    for (const entry of manifests) {
      const { blobs } = await imageBlobs(layout, entry).catch((error: unknown) => {
        if (!(error instanceof KilnError)) throw error;
        const which = nameOfEntry(entry) ?? entry.digest;
        throw new KilnError(error.code, `the published image ${which} is damaged: ${error.message}`, {
          hint: `Publish it again, or remove it first: kiln images rm ${which}`,
          cause: error,
        });
      });
      for (const { digest } of blobs) kept.add(digestHex(parseDigest(digest)));
    }
    return kept;
  }

  async #deleteBlobsBut(kept: ReadonlySet<string>): Promise<number> {
    const folder = join(this.dir, "blobs", "sha256");
    let freed = 0;
    for (const name of await readdir(folder)) {
      if (kept.has(name)) continue;
      const path = join(folder, name);
      freed += (await stat(path)).size;
      await rm(path, { recursive: true, force: true });
    }
    return freed;
  }

  get #lock(): string {
    return join(this.dir, "lock");
  }

  async #index(): Promise<ImageIndex> {
    return (await readStoreIndex(this.dir)) ?? { schemaVersion: 2, manifests: [] };
  }

  #replaceIndex(index: ImageIndex): Promise<void> {
    return replaceDurably(join(this.dir, "index.json"), JSON.stringify(index));
  }

  async #has({ digest, size }: Descriptor): Promise<boolean> {
    try {
      const found = await stat(join(this.dir, "blobs", "sha256", digestHex(parseDigest(digest))));
      return found.isFile() && found.size === size;
    } catch {
      return false;
    }
  }

  /** The index of images, among the entries, that lists a digest. */
  async #indexWith(digest: Digest, manifests: readonly Descriptor[]): Promise<string | undefined> {
    const indexes = manifests.filter(({ mediaType }) => isIndexType(mediaType));
    if (indexes.length === 0) return undefined;
    const layout = await openOciLayout(this.dir);
    for (const entry of indexes) {
      const { blobs } = await imageBlobs(layout, entry);
      if (blobs.some((blob) => blob.digest === digest && isManifestType(blob.mediaType)))
        return nameOfEntry(entry) ?? entry.digest;
    }
    return undefined;
  }

  #notFound(wanted: string, manifests: readonly Descriptor[], options: KilnErrorOptions): KilnError {
    const names = manifests.flatMap((entry) => nameOfEntry(entry) ?? []).sort();
    const near = isDigest(wanted) ? undefined : nearestName(wanted, names);
    const listed = `${names.slice(0, 10).join(", ")}${names.length > 10 ? ` and ${names.length - 10} more` : ""}`;
    const there = names.length === 0 ? "Nothing is published there." : `There are ${listed}.`;
    const hint = near === undefined ? there : `Did you mean ${near}? ${there}`;
    return new KilnError("ERR_KILN_IMAGE_NOT_FOUND", `no published image ${wanted} in ${this.dir}`, {
      hint,
      ...options,
    });
  }

  async #writing<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof Error && "syscall" in error)) throw error;
      throw new KilnError(
        "ERR_KILN_OUTPUT_UNWRITABLE",
        `cannot write the store of images in ${this.dir}: ${error.message}`,
        { hint: "Check its permissions and the free space, or set KILN_DATA_DIR.", cause: error },
      );
    }
  }
}

/** Another tag of the same name, or a name that is nearly the same. */
function nearestName(wanted: string, names: readonly string[]): string | undefined {
  const prefix = `${wanted.slice(0, wanted.indexOf(":"))}:`;
  return names.find((name) => name.startsWith(prefix)) ?? nearestText(wanted, names);
}

function incomplete(dir: string, { digest }: Descriptor): KilnError {
  return new KilnError(
    "ERR_KILN_LAYOUT_INVALID",
    `the OCI layout ${dir}: the blob ${digest} is missing or cut short`,
  );
}

import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { mkdir, open, realpath, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type CallSite, KilnError } from "../errors.js";
import { isMissing, systemErrorCode, systemReason } from "../fsutil/file-errors.js";
import { fileVersion, sameVersion, untilSettled } from "../internal/file-version.js";
import { randomId } from "../internal/random-id.js";
import { makeScratchDirectory } from "../internal/scratch-directory.js";
import { type Digest, digestHex, parseDigest } from "../oci/digest.js";
import type { ImageConfig } from "../oci/image-config.js";
import { openOciLayout } from "../oci/layout.js";
import { initOciLayout, updateOciIndex, writeBlob } from "../oci/layout-writer.js";
import { mediaTypes } from "../oci/media-types.js";
import { formatPlatform, type Platform } from "../oci/platform.js";
import { layoutDir, markUsed, readTarRecord, rootfsPlaces, type TarRecord } from "./kept-rootfs.js";
import { type RootfsJob, rootfsError, unreadableTar } from "./rootfs-job.js";
import { takeLayer } from "./take-layer.js";

/** How {@link rootfsLayout} works. */
export interface RootfsOptions {
  /** Where layouts are kept between calls, in its folder `rootfs`. Deleting it costs time alone. */
  readonly cacheDir: string;
  /** What the files are for; the tar does not say. */
  readonly platform: Platform;
  readonly signal?: AbortSignal | undefined;
  /** The user's call, for errors. */
  readonly location?: CallSite | undefined;
}

/** An image of one layer. */
export interface RootfsLayout {
  /** An OCI layout with this image alone. It is named by its content: the same tar at another place has the same. */
  readonly dir: string;
  /** The manifest's. */
  readonly digest: Digest;
}

const created = "1980-01-01T00:00:02Z";
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * A root file system in a tar as an OCI layout: an image of one layer, with a config that has nothing but the usual `PATH`.
 *
 * The tar may be plain or compressed with gzip or zstd, and becomes the layer as it is. A tar whose path, size, times and
 * inode are as they were is not read again. It is copied (shared, on file systems that can share content and part when
 * one is written), since a link to it would change with it; it is read in pieces, all headers are followed, and its
 * digests are of what was copied.
 *
 * Rejects with `ERR_KILN_FILE_NOT_FOUND`, `ERR_KILN_FILE_UNREADABLE`; `ERR_KILN_ARCHIVE_INVALID` for a file that is
 * something else (the hint says what), damaged, cut off, joined of several, without files, or an image's archive;
 * `ERR_KILN_UNSUPPORTED` for zstd on a Node that cannot read it; `ERR_KILN_FILE_CHANGED` if it is written to meanwhile;
 * `ERR_KILN_OUTPUT_UNWRITABLE` for the cache; the signal's reason.
 */
export async function rootfsLayout(tarPath: string, options: RootfsOptions): Promise<RootfsLayout> {
  const { cacheDir, platform, signal, location } = options;
  signal?.throwIfAborted();
  const places = rootfsPlaces(cacheDir);
  const job: RootfsJob = { tarPath, places, platform, signal, location };
  const { real, stat: before } = await find(job);
  const key = createHash("sha256")
    .update(JSON.stringify([real, formatPlatform(platform)]))
    .digest("hex");
  const record = join(places.records, `${key}.json`);
  const known = await readTarRecord(record);
  if (known !== undefined && sameVersion(known.file, fileVersion(before))) {
    const dir = layoutDir(places, known.digest);
    await Promise.all([markUsed(dir), markUsed(record)]);
    if (await isWhole(dir, known.digest, platform)) return { dir, digest: known.digest };
  }
  const settled = await settle(job, before);
  const digest = await writing(job, () => makeLayout(job, real, settled.stat));
  if (settled.isTold) {
    const entry: TarRecord = { version: 1, file: fileVersion(settled.stat), digest };
    await writing(job, () => replaceFile(record, JSON.stringify(entry)));
  }
  return { dir: layoutDir(places, digest), digest };
}

async function find(job: RootfsJob): Promise<{ readonly real: string; readonly stat: BigIntStats }> {
  let found: BigIntStats;
  let real: string;
  try {
    real = await realpath(job.tarPath);
    found = await stat(real, { bigint: true });
  } catch (error) {
    if (isMissing(error)) {
      throw rootfsError(job, "ERR_KILN_FILE_NOT_FOUND", "there is no such file", "Check the path.", error);
    }
    throw unreadableTar(job, error);
  }
  if (found.isDirectory()) {
    const hint = `Pack it: tar -C ${job.tarPath} -cf rootfs.tar . – or add it with addLocalDir.`;
    throw rootfsError(job, "ERR_KILN_FILE_UNREADABLE", "it is a directory", hint);
  }
  if (!found.isFile()) {
    throw rootfsError(job, "ERR_KILN_FILE_UNREADABLE", "it is no regular file", "Write it to a file first.");
  }
  return { real, stat: found };
}

/**
 * Waits until a later change of the tar cannot look like none, as it falls into the same tick of the clock. `isTold` is
 * false where times do not tell changes.
 */
async function settle(
  job: RootfsJob,
  before: BigIntStats,
): Promise<{ readonly stat: BigIntStats; readonly isTold: boolean }> {
  let last = before;
  // Somebody who goes on writing is found when it is read.
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const wait = untilSettled(last, Date.now());
    if (wait === undefined) return { stat: last, isTold: false };
    if (wait === 0) return { stat: last, isTold: true };
    await delay(wait, undefined, { signal: job.signal }).catch(() => {});
    job.signal?.throwIfAborted();
    last = (await find(job)).stat;
  }
  return { stat: last, isTold: false };
}

/** Makes the layout of a tar, unless there is one with the same content; gives its digest. */
async function makeLayout(job: RootfsJob, real: string, before: BigIntStats): Promise<Digest> {
  const { platform, places } = job;
  const scratch = await makeScratchDirectory(places.scratch);
  try {
    await initOciLayout(scratch);
    const layer = await takeLayer(job, real, before, join(scratch, "layer"));
    await rename(join(scratch, "layer"), join(scratch, "blobs", "sha256", digestHex(layer.digest)));
    const ociPlatform = {
      architecture: platform.architecture,
      os: platform.os,
      ...(platform.variant === undefined ? {} : { variant: platform.variant }),
      ...(platform.osVersion === undefined ? {} : { "os.version": platform.osVersion }),
      ...(platform.osFeatures === undefined ? {} : { "os.features": platform.osFeatures }),
    };
    const image: ImageConfig = {
      ...ociPlatform,
      created,
      config: { Env: [path] },
      rootfs: { type: "layers", diff_ids: [layer.diffId] },
      // Not the tar's name: the image would differ from one machine to the next.
      history: [{ created, created_by: "fromRootfs" }],
    };
    const config = await writeBlob(scratch, Buffer.from(JSON.stringify(image)));
    const manifest = await writeBlob(
      scratch,
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: mediaTypes.ociManifest,
          config: { mediaType: mediaTypes.ociConfig, ...config },
          layers: [{ mediaType: layer.mediaType, digest: layer.digest, size: layer.size }],
        }),
      ),
    );
    await updateOciIndex(scratch, { mediaType: mediaTypes.ociManifest, ...manifest, platform: ociPlatform });
    const digest = parseDigest(manifest.digest);
    const dir = layoutDir(places, digest);
    await putInPlace(scratch, dir, async () => {
      await markUsed(dir);
      return isWhole(dir, digest, platform);
    });
    return digest;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Gives a finished directory its name; one that is there already is as good, if it is whole. */
async function putInPlace(from: string, to: string, isGood: () => Promise<boolean>): Promise<void> {
  await mkdir(join(to, ".."), { recursive: true });
  for (let attempt = 0; ; attempt += 1) {
    try {
      await rename(from, to);
      return;
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST"].includes(systemErrorCode(error) ?? "") || attempt === 3) throw error;
      if (await isGood()) return;
      await rm(to, { recursive: true, force: true });
    }
  }
}

/** Whether a layout has all that it should have; contents of layers are the daemon's to check. */
async function isWhole(dir: string, digest: Digest, platform: Platform): Promise<boolean> {
  try {
    const layout = await openOciLayout(dir);
    const { manifest } = await layout.image(digest, platform);
    for (const layer of manifest.layers) {
      if ((await stat(layout.blobPath(layer.digest))).size !== layer.size) return false;
    }
    return true;
  } catch {
    return false;
  }
}

async function replaceFile(file: string, text: string): Promise<void> {
  await mkdir(join(file, ".."), { recursive: true });
  const temporary = `${file}.${randomId()}.tmp`;
  const handle = await open(temporary, "wx");
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

async function writing<T>(job: RootfsJob, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof KilnError || !(error instanceof Error && "syscall" in error)) throw error;
    throw new KilnError(
      "ERR_KILN_OUTPUT_UNWRITABLE",
      `cannot write ${job.places.root}: ${systemReason(error)}`,
      {
        hint: "Check its permissions and the free space: a tar takes its own size once more.",
        location: job.location,
        cause: error,
      },
    );
  }
}

import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { KilnError } from "../errors.js";
import { checkFile, type FileStamp, type FileStampOptions, stampFile } from "../internal/file-stamp.js";
import { annotationKeys, type Descriptor } from "./descriptor.js";
import { digestHex, isDigest, parseDigest } from "./digest.js";
import { type ImageBlobs, imageBlobs } from "./image-blobs.js";
import { type OciLayout, openOciLayout } from "./layout.js";

/** An image in a layout as it was written: plain JSON. */
export interface LayoutStamp {
  /** Digest of the manifest or index. */
  readonly digest: string;
  readonly size: number;
  /** The tag that the index has it under (`org.opencontainers.image.ref.name`). */
  readonly tag: string;
  /** Every blob of the image, the manifest among them. */
  readonly blobs: readonly BlobStamp[];
}

/** A blob of a {@link LayoutStamp}. */
export interface BlobStamp extends Pick<FileStamp, "size" | "version"> {
  readonly digest: string;
}

/** What {@link checkLayout} found: what is missing, in words, or the stamp as it would be taken now. */
export type CheckedLayout = { readonly problem: string } | { readonly stamp: LayoutStamp };

/** Blobs looked at at once. */
const atOnce = 32;

const indexLimit = 16 * 1024 * 1024;
const markerLimit = 4 * 1024;

/**
 * Stamps an image of a layout, by its digest and tag: which blobs it has, and their files' versions. What is no manifest or
 * config is not read: whoever wrote it has checked it.
 *
 * Rejects with `ERR_KILN_LAYOUT_INVALID` for an image that is not there as a whole, or has another digest under its tag.
 */
export async function stampLayout(
  dir: string,
  { digest, tag }: Pick<LayoutStamp, "digest" | "tag">,
  options: FileStampOptions = {},
): Promise<LayoutStamp> {
  const fail = (why: string): KilnError =>
    new KilnError("ERR_KILN_LAYOUT_INVALID", `the OCI layout ${dir}: ${why}`, { hint: "Write it again." });
  const layout = await openOciLayout(dir);
  const root = rootOf(layout, { digest, tag });
  if (typeof root === "string") throw fail(root);
  const { blobs } = await imageBlobs(layout, root);
  const stamps = await inBatches(blobs, async (blob): Promise<BlobStamp> => {
    const { size, version } = await stampFile(layout.blobPath(blob.digest), undefined, options).catch(
      (error: unknown) => {
        options.signal?.throwIfAborted();
        throw fail(`the blob ${blob.digest}: ${(error as Error).message}`);
      },
    );
    if (size !== blob.size) throw fail(`the blob ${blob.digest} has ${size} bytes in place of ${blob.size}`);
    return { digest: blob.digest, size, ...(version === undefined ? {} : { version }) };
  });
  return { digest, size: root.size, tag, blobs: stamps };
}

/**
 * Whether an image is in a layout as it was stamped: the index has it under its tag, and all blobs are there. A blob whose
 * file is of another version is read, and counts if its digest is right. Rejects with the signal's reason alone.
 */
export async function checkLayout(
  dir: string,
  stamp: LayoutStamp,
  options: FileStampOptions = {},
): Promise<CheckedLayout> {
  const { signal } = options;
  let found: ImageBlobs;
  try {
    const { size } = await lstat(join(dir, "index.json"));
    if (size > indexLimit) return { problem: `the layout ${dir} has an index.json of ${size} bytes` };
    if (!(await hasMarker(join(dir, "oci-layout")))) {
      return { problem: `the layout ${dir} has no file oci-layout, or a damaged one` };
    }
    const layout = await openOciLayout(dir);
    const root = rootOf(layout, stamp);
    if (typeof root === "string") return { problem: `the layout ${dir}: ${root}` };
    // By the manifests, not by what was stored: that may be damaged.
    found = await imageBlobs(layout, root);
  } catch (error) {
    signal?.throwIfAborted();
    return { problem: error instanceof KilnError ? error.message : `the layout ${dir}: ${String(error)}` };
  }
  const versions = new Map(stamp.blobs.map(({ digest, version }) => [digest, version]));
  let problem: string | undefined;
  const blobs = await inBatches(found.blobs, async ({ digest, size: wanted }): Promise<BlobStamp> => {
    const blob = { digest, size: wanted, version: versions.get(digest) };
    if (problem !== undefined) return blob;
    const sha256 = digestHex(parseDigest(digest));
    const checked = await checkFile(join(dir, "blobs", "sha256", sha256), { ...blob, sha256 }, options);
    if ("problem" in checked) {
      problem ??= `the layout ${dir}: ${lack(blob.digest, checked.problem)}`;
      return blob;
    }
    const { size, version } = checked.stamp;
    return { digest: blob.digest, size, ...(version === undefined ? {} : { version }) };
  });
  return problem === undefined ? { stamp: { ...stamp, blobs } } : { problem };
}

async function hasMarker(path: string): Promise<boolean> {
  const found = await lstat(path);
  if (!found.isFile() || found.size > markerLimit) return false;
  const { imageLayoutVersion } = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  return typeof imageLayoutVersion === "string";
}

function lack(digest: string, problem: string): string {
  return problem === "is gone" ? `it lacks the blob ${digest}` : `the blob ${digest} ${problem}`;
}

/** The entry of an image in a layout's index; why it is not there, in words. */
function rootOf(
  { index }: OciLayout,
  { digest, tag, size }: Pick<LayoutStamp, "digest" | "tag"> & { readonly size?: number },
): Descriptor | string {
  const named = index.manifests.filter((entry) => entry?.annotations?.[annotationKeys.refName] === tag);
  const [first] = named;
  if (first === undefined) return `its index has no ${tag} any more`;
  const other = named.find((entry) => entry.digest !== digest);
  if (other !== undefined) return `${tag} is ${isDigest(other.digest) ? other.digest : "damaged"} now`;
  if (size !== undefined && first.size !== size) return `the entry of ${tag} in its index is damaged`;
  return first;
}

async function inBatches<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += atOnce) {
    results.push(...(await Promise.all(items.slice(at, at + atOnce).map(run))));
  }
  return results;
}

import { constants, copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { unfinishedName } from "../internal/unfinished-file.js";
import { annotationKeys, type Descriptor } from "./descriptor.js";
import { digestHex, parseDigest, sha256 } from "./digest.js";
import type { ImageIndex } from "./manifest.js";
import { mediaTypes } from "./media-types.js";

/** Makes a directory an OCI layout: the marker file and the place for blobs. What is there already stays. */
export async function initOciLayout(dir: string): Promise<void> {
  await mkdir(join(dir, "blobs", "sha256"), { recursive: true });
  await replaceFile(join(dir, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

/** How an entry is named in a layout's index. */
export interface IndexEntryNames {
  /** `org.opencontainers.image.ref.name`. */
  readonly tag?: string | undefined;
  /** `io.containerd.image.name`. */
  readonly imageName?: string | undefined;
}

/** The tag of an image that is given no name. */
const plainTag = "latest";

/** How an image of this name is named in a layout's index: without a name, by the tag `latest`. */
export function layoutNames(name: string | undefined): IndexEntryNames & { readonly tag: string } {
  if (name === undefined) return { tag: plainTag };
  const colon = name.lastIndexOf(":");
  const hasTag = colon > name.lastIndexOf("/");
  return hasTag ? { tag: name.slice(colon + 1), imageName: name } : { tag: name };
}

/**
 * Puts an image into a layout's index under its names, replacing the entry that had them.
 *
 * Other entries stay. The index is replaced as a whole, by rename; one that is no JSON is kept beside it as
 * `index.json.damaged`. Annotation keys are those of BuildKit's own client (`client/ociindex`).
 */
export async function updateOciIndex(
  dir: string,
  descriptor: Descriptor,
  names: IndexEntryNames = {},
): Promise<void> {
  const file = join(dir, "index.json");
  const tag = names.tag ?? plainTag;
  const annotations = {
    ...descriptor.annotations,
    [annotationKeys.refName]: tag,
    ...(names.imageName === undefined ? {} : { [annotationKeys.imageName]: names.imageName }),
  };
  const others = (await readManifests(file)).filter(
    (entry) => entry.annotations?.[annotationKeys.refName] !== tag && !isUnnamedTwin(entry, descriptor),
  );
  const index: ImageIndex = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [...others, { ...descriptor, annotations }],
  };
  await replaceFile(file, JSON.stringify(index));
}

/** Writes a blob under its digest; a blob that is there already is not written again. */
export async function writeBlob(dir: string, bytes: Uint8Array): Promise<{ digest: string; size: number }> {
  const digest = sha256(bytes);
  await replaceFile(join(dir, "blobs", "sha256", digestHex(digest)), bytes);
  return { digest, size: bytes.length };
}

/**
 * Puts a file that is a whole blob beside a layout's others, as a copy that shares its room where the file system can.
 * Rejects with the file system's error; nothing is left then.
 */
export async function copyBlob(dir: string, digest: string, from: string): Promise<void> {
  const to = join(dir, "blobs", "sha256", digestHex(parseDigest(digest)));
  await mkdir(dirname(to), { recursive: true });
  const temporary = unfinishedName(to);
  try {
    await copyFile(from, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    await rename(temporary, to);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function isUnnamedTwin(entry: Descriptor, descriptor: Descriptor): boolean {
  return entry.digest === descriptor.digest && entry.annotations?.[annotationKeys.refName] === undefined;
}

async function readManifests(file: string): Promise<readonly Descriptor[]> {
  try {
    const index = JSON.parse(await readFile(file, "utf8")) as ImageIndex;
    return Array.isArray(index.manifests) ? index.manifests : [];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    if (!(error instanceof SyntaxError)) throw error;
    // Its entries are lost for us, but perhaps not for whoever reads what is left of it.
    await rename(file, `${file}.damaged`);
    return [];
  }
}

async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = unfinishedName(path);
  await writeFile(temporary, content, { flag: "wx" });
  await rename(temporary, path);
}

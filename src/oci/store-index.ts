import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { KilnError } from "../errors.js";
import { replaceDurably } from "../internal/durable-file.js";
import { annotationKeys, type Descriptor } from "./descriptor.js";
import { isDescriptor } from "./image-blobs.js";
import type { ImageIndex } from "./manifest.js";
import { mediaTypes } from "./media-types.js";

/** When an entry got its name, as an ISO time. */
const publishedAtKey = "kiln.published-at";

/** What may lie in a store's directory before it is one: a process that made it was stopped. */
const beginnings: ReadonlySet<string> = new Set(["lock", "ingest", "blobs", "index.json"]);

const marker = JSON.stringify({ imageLayoutVersion: "1.0.0" });

/**
 * The index of a store of images; `undefined` if there is no store yet.
 *
 * Rejects with `ERR_KILN_LAYOUT_INVALID` if the directory is another one's, or its files are damaged or of a version that
 * is not known, and with `ERR_KILN_FILE_UNREADABLE`.
 */
export async function readStoreIndex(dir: string): Promise<ImageIndex | undefined> {
  const layout = join(dir, "oci-layout");
  let version = await readIfThere(layout);
  if (version === undefined) {
    const foreign = (await namesIn(dir)).find((name) => !beginnings.has(name) && !name.endsWith(".tmp"));
    if (foreign === undefined) return undefined;
    // Missing a moment ago, it may have been made between the two looks.
    version = await readIfThere(layout);
    if (version === undefined) {
      throw invalid(
        `${dir} is no store of images: it holds ${foreign} and has no file oci-layout`,
        "Choose another directory.",
      );
    }
  }
  if (memberOf(parse(version), "imageLayoutVersion") !== "1.0.0") {
    throw invalid(`the store of images in ${dir}: oci-layout names no version that is known`, setAside(dir));
  }
  const text = await readIfThere(join(dir, "index.json"));
  if (text === undefined) {
    throw invalid(`the store of images in ${dir}: index.json is missing`, setAside(dir));
  }
  const index = parse(text);
  if (isImageIndex(index)) return index;
  throw invalid(`the store of images in ${dir}: index.json is damaged`, setAside(dir));
}

/** Makes an empty store; its directory is there. The file that makes it one comes last. */
export async function createStore(dir: string): Promise<ImageIndex> {
  const index: ImageIndex = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] };
  await replaceDurably(join(dir, "index.json"), JSON.stringify(index));
  await replaceDurably(join(dir, "oci-layout"), marker);
  return index;
}

/** The name of an entry, `name:tag`; `undefined` for an image that is known by its digest alone. */
export function nameOfEntry(entry: Descriptor): string | undefined {
  return entry.annotations?.[annotationKeys.refName];
}

/** When an entry got its name, or the last one it had. */
export function publishedAt(entry: Descriptor): Date | undefined {
  const time = Date.parse(entry.annotations?.[publishedAtKey] ?? "");
  return Number.isNaN(time) ? undefined : new Date(time);
}

/** The entries with a name pointing at an image. The image that had the name stays, by its digest. */
export function withName(
  entries: readonly Descriptor[],
  image: Descriptor,
  name: string,
  at: Date,
): readonly Descriptor[] {
  const moved = entries.map((entry) => (nameOfEntry(entry) === name ? withoutName(entry) : entry));
  const plain = withoutName(image);
  const annotations = {
    ...plain.annotations,
    [annotationKeys.refName]: name,
    [publishedAtKey]: at.toISOString(),
  };
  const named = [...moved.filter((entry) => nameOfEntry(entry) !== undefined), { ...plain, annotations }];
  const listed = new Set(named.map(({ digest }) => digest));
  const nameless = moved.filter(({ digest }) => {
    if (listed.has(digest)) return false;
    listed.add(digest);
    return true;
  });
  return [...nameless, ...named];
}

function withoutName(entry: Descriptor): Descriptor {
  const annotations = Object.entries(entry.annotations ?? {}).filter(
    ([key]) => key !== annotationKeys.refName && key !== annotationKeys.imageName,
  );
  const { annotations: _, ...rest } = entry;
  return annotations.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(annotations) };
}

function isImageIndex(value: unknown): value is ImageIndex {
  const manifests = memberOf(value, "manifests");
  return Array.isArray(manifests) && manifests.every(isDescriptor);
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw unreadable(path, error);
  }
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw unreadable(dir, error);
  }
}

function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
}

function unreadable(path: string, cause: unknown): KilnError {
  return new KilnError("ERR_KILN_FILE_UNREADABLE", `cannot read ${path}: ${(cause as Error).message}`, {
    hint: "Check its permissions.",
    cause,
  });
}

function setAside(dir: string): string {
  return `Rename ${dir} and publish again, or put its former files back.`;
}

function invalid(message: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_LAYOUT_INVALID", message, { hint });
}

import { isDeepStrictEqual } from "node:util";
import { KilnError } from "../../errors.js";
import { isDigest } from "../../oci/digest.js";
import {
  describeName,
  keyOf,
  type LockedSource,
  lockVersion,
  mergeSourceLocks,
  type SourceLock,
} from "./source-lock.js";

// In the order in which they are written.
const entryKeys = {
  image: ["type", "source", "platform", "digest"],
  git: ["type", "source", "commit", "tag"],
  http: ["type", "source", "header", "digest", "lastModified"],
} as const;
const headerKeys = ["accept", "userAgent"] as const;

const platformPattern = /^[a-z0-9_.-]+(?:\([^()/\s]+\))?(?:\/[A-Za-z0-9_.-]+){1,2}$/;
const objectId = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const schemes = { image: /^docker-image:\/\/./, git: /^git:\/\/./, http: /^https?:\/\/./i } as const;

/**
 * The text of a lock: JSON with one line for each entry, so that a changed source is one changed line. Equal locks give
 * equal texts.
 *
 * Throws `ERR_KILN_LOCK_INVALID` for a lock that {@link parseSourceLock} would not read.
 */
export function formatSourceLock(lock: SourceLock): string {
  const { sources } = mergeSourceLocks(checkLock(lock));
  const lines = sources.map((entry) => `    ${JSON.stringify(ordered(entry))}`);
  const list = lines.length === 0 ? "[]" : `[\n${lines.join(",\n")}\n  ]`;
  return `{\n  "version": ${lockVersion},\n  "sources": ${list}\n}\n`;
}

/**
 * Reads the text of a lock. `file` is its name in messages.
 *
 * Strict: a key that is not known, a source that is there twice, a digest that is none or a version that is newer than
 * this package's are refused with `ERR_KILN_LOCK_INVALID`, which names file, line and entry.
 */
export function parseSourceLock(text: string, file = "the lock"): SourceLock {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const conflict = /^(?:<{7}|={7}|>{7})/m.exec(text);
    const reason = error instanceof Error ? error.message : String(error);
    const offset = conflict?.index ?? Number(/at position (\d+)/.exec(reason)?.[1] ?? text.length);
    throw invalid(
      conflict === null ? "it is no JSON" : "it has the marks of a merge conflict",
      { file, text, offset },
      conflict === null ? {} : { hint: "Keep the lines of either side, without the marks." },
      error,
    );
  }
  const offsets = entryOffsets(text);
  return mergeSourceLocks(checkLock(value, (entry) => ({ file, text, offset: offsets[entry ?? -1] ?? 0 })));
}

/** A place in the text of a lock. */
interface Place {
  readonly file: string;
  readonly text: string;
  readonly offset: number;
}

/**
 * The value as a lock. `placeOf` says where in a text an entry is, or the lock itself. Throws `ERR_KILN_LOCK_INVALID`.
 */
export function checkLock(
  value: unknown,
  placeOf: (entry?: number) => Place | undefined = () => undefined,
): SourceLock {
  if (!isObject(value)) throw invalid("it is no object", placeOf());
  const { version, sources } = value;
  if (typeof version === "number" && Number.isInteger(version) && version > lockVersion) {
    throw invalid(`it has version ${version}, newer than ${lockVersion}`, placeOf(), {
      hint: "Update kiln-engine, or lock the sources again with this one.",
    });
  }
  if (version !== lockVersion) throw invalid("its version is missing or is none", placeOf());
  refuseKeys(value, ["version", "sources"], "it", placeOf());
  if (!Array.isArray(sources)) throw invalid("sources is no array", placeOf());
  const places = new Map<string, number>();
  const entries = sources.map((entry: unknown, index) => {
    const checked = checkEntry(entry, index, placeOf(index));
    const key = keyOf(checked);
    const first = places.get(key);
    if (first !== undefined) {
      throw invalid(
        `sources[${index}] is ${describeName(checked)} again, which sources[${first}] is`,
        placeOf(index),
        { hint: "Remove one of the two." },
      );
    }
    places.set(key, index);
    return checked;
  });
  return { version: lockVersion, sources: entries };
}

function checkEntry(value: unknown, index: number, place: Place | undefined): LockedSource {
  const where = `sources[${index}]`;
  if (!isObject(value)) throw invalid(`${where} is no object`, place);
  const { type, source } = value;
  if (type !== "image" && type !== "git" && type !== "http") {
    throw invalid(`the type of ${where} is none of image, git and http`, place);
  }
  refuseKeys(value, entryKeys[type], where, place);
  if (typeof source !== "string" || !schemes[type].test(source)) {
    throw invalid(`the source of ${where} is no identifier of an ${type} source`, place);
  }
  const name = `${where} (${source})`;
  const mustBe = (key: string, what: string, isRight: (text: string) => boolean, optional = false): void => {
    const text = value[key];
    if (optional && text === undefined) return;
    if (typeof text === "string" && isRight(text)) return;
    throw invalid(`the ${key} of ${name} is ${text === undefined ? "missing" : `no ${what}`}`, place);
  };
  if (type === "git") {
    mustBe("commit", "id of a commit: 40 or 64 hexadecimal digits", (text) => objectId.test(text));
    mustBe("tag", "id of a tag: 40 or 64 hexadecimal digits", (text) => objectId.test(text), true);
  } else {
    mustBe("digest", "digest: sha256: and 64 hexadecimal digits", isDigest);
  }
  if (type === "image") mustBe("platform", "platform", (text) => platformPattern.test(text), true);
  if (type === "http") {
    mustBe("lastModified", "time", (text) => !Number.isNaN(Date.parse(text)), true);
    checkHeader(value["header"], name, place);
  }
  return ordered(value as unknown as LockedSource);
}

function checkHeader(header: unknown, name: string, place: Place | undefined): void {
  if (header === undefined) return;
  if (!isObject(header)) throw invalid(`the header of ${name} is no object`, place);
  refuseKeys(header, headerKeys, `the header of ${name}`, place);
  const values = headerKeys.map((key) => header[key]).filter((one) => one !== undefined);
  if (values.length === 0 || values.some((one) => typeof one !== "string" || one === "")) {
    throw invalid(`the header of ${name} holds no text`, place);
  }
}

/** The entry with its keys in their order and without those that have no value. */
function ordered(entry: LockedSource): LockedSource {
  const pick = (from: object, keys: readonly string[]): object =>
    Object.fromEntries(
      keys.flatMap((key) => {
        const value = (from as Readonly<Record<string, unknown>>)[key];
        if (value === undefined) return [];
        return [[key, key === "header" ? pick(value as object, headerKeys) : value]];
      }),
    );
  return pick(entry, entryKeys[entry.type]) as LockedSource;
}

function refuseKeys(value: object, known: readonly string[], where: string, place: Place | undefined): void {
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw invalid(`${where} has a key ${JSON.stringify(unknown)}`, place);
}

/** Where in a lock's text, which is JSON, each entry begins. */
function entryOffsets(text: string): readonly number[] {
  const offsets: number[] = [];
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === "{" && depth === 2) offsets.push(index);
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
  }
  return offsets;
}

function invalid(
  problem: string,
  place: Place | undefined,
  options: { readonly hint?: string } = {},
  cause?: unknown,
): KilnError {
  const hint = options.hint ?? "Correct it, or delete it and lock the sources again.";
  if (place === undefined)
    return new KilnError("ERR_KILN_LOCK_INVALID", `no source lock: ${problem}`, { hint, cause });
  const before = place.text.slice(0, place.offset).split("\n");
  const line = before.length;
  const location = { file: place.file, line, column: (before.at(-1)?.length ?? 0) + 1 };
  return new KilnError("ERR_KILN_LOCK_INVALID", `${place.file}:${line}: no source lock: ${problem}`, {
    hint,
    location,
    cause,
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether two locks hold the same. */
export function sameSourceLock(a: SourceLock, b: SourceLock): boolean {
  return isDeepStrictEqual(
    mergeSourceLocks(a).sources.map(ordered),
    mergeSourceLocks(b).sources.map(ordered),
  );
}

import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KilnError } from "../../errors.js";
import { Definition } from "../../llb/definition.js";
import { encodeOp } from "../../llb/encode-op.js";
import { nameOp } from "../../llb/encoded-op.js";
import { copy } from "../../llb/file-action.js";
import { fromDefinition } from "../../llb/from-definition.js";
import { marshal } from "../../llb/marshal.js";
import { scratch } from "../../llb/state.js";
import { isDigest } from "../../oci/digest.js";

/** The file that the daemon writes for attestations of a local output. */
const provenanceFile = "provenance.json";

// A statement about one source has about 2 KiB.
const longestStatement = 1024 * 1024;

/**
 * A graph that depends on one source and is empty: a copy of files that match nothing. The daemon fetches the source, and
 * nothing of it comes back. Its provenance has the source as its only material.
 */
export function emptyGraphOf(definition: Definition, digest: string): Definition {
  const source = definition.ops.find((op) => op.digest === digest);
  if (source === undefined) throw new TypeError(`the definition has no op ${digest}`);
  const alone = new Definition({
    ops: [source, nameOp(encodeOp({ inputs: [{ digest, index: 0 }] }))],
    metadata: new Map([[digest, definition.metadata.get(digest) ?? {}]]),
    source: undefined,
  });
  const nothing = { src: "/.kiln-none-*", dest: "/", allowWildcard: true, allowEmptyWildcard: true };
  return marshal(scratch().file(copy(fromDefinition(alone), nothing)));
}

/**
 * Has a graph's provenance written into a directory of its own, and reads which one content its only material had: a
 * commit's id, or a file's digest.
 *
 * Rejects with `ERR_KILN_PROTOCOL` for a statement that does not say, and with what `write` rejects with.
 */
export async function provenancePin(
  type: "git" | "http",
  write: (dir: string) => Promise<unknown>,
): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "kiln-provenance-"));
  try {
    await write(dir);
    const file = join(dir, provenanceFile);
    const { size } = await stat(file);
    if (size > longestStatement) {
      throw new KilnError("ERR_KILN_LIMIT_EXCEEDED", `the daemon's provenance has ${size} bytes`);
    }
    return pinInStatement(type, JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    if (!(error instanceof SyntaxError) && (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw unreadable(error);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The pin in a provenance statement with one material, of either version. Throws `ERR_KILN_PROTOCOL`. */
export function pinInStatement(type: "git" | "http", statement: unknown): string {
  const { predicate } = fieldsOf(statement);
  const { materials, buildDefinition } = fieldsOf(predicate);
  // SLSA v0.2, which BuildKit makes before 0.28, and v1.
  const list = materials ?? fieldsOf(buildDefinition)["resolvedDependencies"];
  const pins = (Array.isArray(list) ? list : []).flatMap((material) => {
    const { sha1, sha256 } = fieldsOf(fieldsOf(material)["digest"]);
    if (type === "git") return [sha1, sha256].find(isObjectId) ?? [];
    const digest = `sha256:${String(sha256)}`;
    return isDigest(digest) ? digest : [];
  });
  const [pin] = pins;
  if (pin === undefined || pins.length > 1) throw unreadable();
  return pin;
}

function isObjectId(value: unknown): value is string {
  return typeof value === "string" && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(value);
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function unreadable(cause?: unknown): KilnError {
  return new KilnError("ERR_KILN_PROTOCOL", "the daemon's provenance does not say what a source was", {
    hint: "Report it with the daemon's version.",
    cause,
  });
}

import type { Definition } from "./definition.js";
import { bytesOf, readFields } from "./wire-reader.js";

// Field numbers of `pb.Op`, `pb.SourceOp` and a map's entries.
const opSource = 3;
const opBuild = 5;
const sourceIdentifier = 1;
const sourceAttrs = 2;
const entryKey = 1;
const entryValue = 2;

/**
 * The sources of a definition whose content may change though their names stay: images by tag, branches, addresses without
 * a checksum, and graphs that are not known before they run. Local trees and OCI layouts are none: what they hold is known
 * otherwise.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read.
 */
export function movingSources(definition: Definition): readonly string[] {
  const moving: string[] = [];
  for (const [index, { bytes }] of definition.ops.entries()) {
    const where = `op ${index}`;
    for (const field of readFields(bytes, where)) {
      if (field.number === opBuild) moving.push("a graph that a step makes");
      if (field.number !== opSource) continue;
      const { identifier, attrs } = readSource(bytesOf(field, where), where);
      if (!isFixed(identifier, attrs)) moving.push(identifier);
    }
  }
  return moving;
}

function isFixed(identifier: string, attrs: ReadonlyMap<string, string>): boolean {
  const [, scheme = "", rest = ""] = /^([a-z+-]+):\/\/(.*)$/.exec(identifier) ?? [];
  switch (scheme) {
    case "local":
    case "oci-layout":
      return true;
    case "docker-image":
      return /@sha256:[0-9a-f]{64}$/.test(rest);
    case "http":
    case "https":
      return attrs.has("http.checksum");
    case "git":
      return attrs.has("git.checksum") || /#(?:[0-9a-f]{40}|[0-9a-f]{64})(?::|$)/.test(rest);
    default:
      return false;
  }
}

function readSource(
  message: Uint8Array,
  where: string,
): { readonly identifier: string; readonly attrs: ReadonlyMap<string, string> } {
  let identifier = "";
  const attrs = new Map<string, string>();
  for (const field of readFields(message, where)) {
    if (field.number === sourceIdentifier) identifier = textOf(bytesOf(field, where));
    if (field.number !== sourceAttrs) continue;
    let key = "";
    let value = "";
    for (const inner of readFields(bytesOf(field, where), where)) {
      if (inner.number === entryKey) key = textOf(bytesOf(inner, where));
      if (inner.number === entryValue) value = textOf(bytesOf(inner, where));
    }
    attrs.set(key, value);
  }
  return { identifier, attrs };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
}

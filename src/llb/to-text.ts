import { decodeOp } from "./decode-op.js";
import type { Definition } from "./definition.js";
import { describeOpLines, quote } from "./op-lines.js";
import { platformOf } from "./vertex-info.js";

/** Options of {@link toText}. */
export interface TextOptions {
  /** Print the digest of every op. Default false: a snapshot then only changes where the graph does. */
  readonly digests?: boolean | undefined;
}

/**
 * A definition for people and for snapshot tests: ops numbered in their order, one line each and one more for every
 * mount, file operation, attribute and piece of metadata. Equal definitions give equal text.
 *
 * Throws `ERR_KILN_INVALID_DEFINITION` if an op of a foreign definition cannot be read.
 */
export function toText(definition: Definition, options: TextOptions = {}): string {
  const numbers = new Map<string, string>();
  const lines: string[] = [];
  const last = definition.ops.length - 1;
  for (const [index, { digest, bytes }] of definition.ops.entries()) {
    const op = decodeOp(bytes, `op ${index}`);
    const inputs = op.inputs.map((input) => {
      const name = numbers.get(input.digest) ?? quote(input.digest);
      return input.index === 0n ? name : `${name}.${input.index}`;
    });
    if (index === last) {
      lines.push(`result ${inputs.join(" ")}`);
      break;
    }
    const number = `#${index + 1}`;
    numbers.set(digest, number);
    const [first = "", ...rest] = describeOpLines(op, inputs);
    const platform = platformOf(op);
    lines.push(`${number} ${first}${platform === undefined ? "" : ` [${platform}]`}`);
    const metadata = metadataLines(definition, digest);
    const filters = op.constraints?.filter ?? [];
    lines.push(
      ...(options.digests === true ? [digest] : []).map(indent),
      ...[...rest, ...filters.map((filter) => `require ${quote(filter)}`), ...metadata].map(indent),
    );
  }
  return definition.ops.length === 0 ? "result scratch\n" : `${lines.join("\n")}\n`;
}

function metadataLines(definition: Definition, digest: string): readonly string[] {
  const metadata = definition.metadata.get(digest);
  if (metadata === undefined) return [];
  const { ignoreCache, description, exportCache, caps, progressGroup, linuxResources } = metadata;
  const lines: string[] = [];
  if (ignoreCache === true) lines.push("ignore cache");
  for (const key of Object.keys(description ?? {}).sort()) {
    lines.push(`description ${quote(key)}: ${quote(description?.[key] ?? "")}`);
  }
  if (exportCache !== undefined) lines.push(`export cache: ${exportCache.Value === true}`);
  if (progressGroup !== undefined) {
    const { id = "", name = "", weak } = progressGroup;
    lines.push(`progress group ${quote(id)}: ${quote(name)}${weak === true ? " weak" : ""}`);
  }
  const limits = Object.entries(linuxResources ?? {}).filter(
    ([key, value]) => !key.startsWith("$") && ![undefined, "", 0, 0n].includes(value as undefined),
  );
  if (limits.length > 0)
    lines.push(`resources ${limits.map(([key, value]) => `${key}=${String(value)}`).join(" ")}`);
  const names = Object.keys(caps ?? {}).sort();
  if (names.length > 0) lines.push(`caps ${names.join(" ")}`);
  return lines;
}

function indent(line: string): string {
  return `   ${line}`;
}

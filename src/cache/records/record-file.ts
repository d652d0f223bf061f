import { createHash } from "node:crypto";
import type { RecordName } from "./record-kind.js";

/** The version of records that this Kiln writes. */
const recordVersion = 1;

/** What a record's content is. */
export type RecordType = "json" | "bytes";

/** What a record's file turned out to be. */
export type DecodedRecord =
  | { readonly state: "whole"; readonly type: RecordType; readonly payload: Buffer }
  /** Written by a later Kiln in a form that this one does not know. */
  | { readonly state: "newer" }
  | { readonly state: "damaged"; readonly problem: string };

/**
 * A record as a file, in two parts: the line `kiln-index VERSION TYPE SHA256`, then the content, which is not copied.
 *
 * The checksum is over version, type, kind, key and content, so that a file that was cut off, changed, or came to another
 * record's place is recognised.
 */
export function encodeRecord(
  name: RecordName,
  type: RecordType,
  payload: Uint8Array,
): readonly [head: Uint8Array, content: Uint8Array] {
  const head = `kiln-index ${recordVersion} ${type} ${checksum(name, type, payload)}\n`;
  return [Buffer.from(head), payload];
}

/** Reads what {@link encodeRecord} wrote. */
export function decodeRecord(name: RecordName, file: Buffer): DecodedRecord {
  const end = file.subarray(0, 128).indexOf("\n");
  const head = file.toString("latin1", 0, Math.max(0, end));
  const [, version, rest = ""] = /^kiln-index ([1-9]\d{0,5})(?: (.*))?$/.exec(head) ?? [];
  if (version === undefined) return { state: "damaged", problem: "it does not begin as a record does" };
  if (Number(version) > recordVersion) return { state: "newer" };
  const [, type, sum] = /^(json|bytes) ([0-9a-f]{64})$/.exec(rest) ?? [];
  if (type !== "json" && type !== "bytes") return { state: "damaged", problem: "its first line is damaged" };
  const payload = file.subarray(end + 1);
  if (checksum(name, type, payload) === sum) return { state: "whole", type, payload };
  return { state: "damaged", problem: "its content is not what was written" };
}

function checksum({ kind, key }: RecordName, type: RecordType, payload: Uint8Array): string {
  return createHash("sha256")
    .update(`${recordVersion} ${type} ${kind}/${key}\n`)
    .update(payload)
    .digest("hex");
}

import type { AppliedStep, Chain } from "./define-step.js";
import { windowsPaths, withForwardSlashes } from "./local-paths.js";
import { needsOf } from "./needs-of.js";
import { Secret } from "./secret.js";

/**
 * A chain as text: one block a step, with everything that was asked for. Alike on every machine and with every Node.
 *
 * No values of secrets are in it; local paths have forward slashes. What is left out and what is empty look the same, so
 * that a new option does not change old snapshots. For tests that show what a change of a recipe changes.
 */
export function imageSnapshot(image: Chain): string {
  const paths = windowsPaths(needsOf(image));
  return image.steps.map((step) => `${block(step, paths)}\n`).join("");
}

function block(step: AppliedStep, paths: readonly string[]): string {
  return [`${step.id} v${step.version}`, ...lines(plain(step.args, paths), "  ")].join("\n");
}

function lines(value: Plain, indent: string): readonly string[] {
  if (value === undefined) return [];
  if (value instanceof Text) return value.lines.map((line) => `${indent}${line}`);
  if (!isRecord(value)) return [`${indent}${json(value)}`];
  return Object.entries(value).flatMap(([key, item]) => {
    if (isNothing(item)) return [];
    return isRecord(item) || item instanceof Text
      ? [`${indent}${key}:`, ...lines(item, `${indent}  `)]
      : [`${indent}${key}: ${json(item)}`];
  });
}

function isNothing(value: Plain): boolean {
  if (value === undefined || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isRecord(value) && Object.values(value).every(isNothing);
}

/** Another chain, as the lines of its own snapshot. */
class Text {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    this.lines = lines;
  }

  /** In a list. */
  toJSON(): readonly string[] {
    return this.lines;
  }
}

type Plain = undefined | null | boolean | number | string | Text | readonly Plain[] | PlainRecord;
interface PlainRecord {
  readonly [key: string]: Plain;
}

/** A value as data that JSON can hold, keys sorted. */
function plain(value: unknown, paths: readonly string[]): Plain {
  if (value === null || typeof value === "boolean" || typeof value === "number") return value;
  if (typeof value === "string") {
    const unix = value.replaceAll("\r\n", "\n");
    return paths.includes(unix) ? withForwardSlashes(unix, paths) : unix;
  }
  if (typeof value !== "object") return typeof value === "bigint" ? `${value}n` : undefined;
  if (Secret.isSecret(value)) return withForwardSlashes(value.toString(), paths);
  if (value instanceof Uint8Array) return bytes(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value) || value instanceof Set)
    return [...value].map((item) => plain(item, paths) ?? null);
  if ("steps" in value && Array.isArray(value.steps)) {
    return new Text(value.steps.flatMap((step: AppliedStep) => block(step, paths).split("\n")));
  }
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries
      .map(([key, item]: [unknown, unknown]) => [String(key), plain(item, paths)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** Bytes as the text that they are, else in base64. */
function bytes(value: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value).replaceAll("\r\n", "\n");
  } catch {
    let binary = "";
    for (const byte of value) binary += String.fromCharCode(byte);
    return `base64:${btoa(binary)}`;
  }
}

function json(value: Plain): string {
  return JSON.stringify(value) ?? "";
}

function isRecord(value: Plain): value is PlainRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Text);
}

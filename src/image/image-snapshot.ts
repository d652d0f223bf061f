import type { AppliedStep, Chain } from "./define-step.js";
import { Secret } from "./secret.js";

/**
 * A chain as text: one block a step, with everything that was asked for. Alike on every machine and with every Node.
 *
 * No values of secrets are in it; paths have forward slashes. For tests that show what a change of a recipe changes.
 */
export function imageSnapshot(image: Chain): string {
  return image.steps.map((step) => `${block(step)}\n`).join("");
}

function block(step: AppliedStep): string {
  return [`${step.id} v${step.version}`, ...lines(step.args, "  ")].join("\n");
}

function lines(value: unknown, indent: string): readonly string[] {
  if (!isRecord(value)) return value === undefined ? [] : [`${indent}${text(value)}`];
  return Object.keys(value)
    .sort()
    .flatMap((key) => {
      const item = value[key];
      if (isNothing(item)) return [];
      if (isChain(item)) {
        return [
          `${indent}${key}:`,
          ...imageSnapshot(item)
            .trimEnd()
            .split("\n")
            .map((line) => `${indent}  ${line}`),
        ];
      }
      return isRecord(item)
        ? [`${indent}${key}:`, ...lines(item, `${indent}  `)]
        : [`${indent}${key}: ${text(item)}`];
    });
}

// What was left out and what is empty look the same: a new option does not change old snapshots.
function isNothing(value: unknown): boolean {
  if (value === undefined || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isRecord(value) && Object.values(value).every(isNothing);
}

function text(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => plain(item)) ?? String(value);
}

function plain(value: unknown): unknown {
  if (Secret.isSecret(value)) return value.toString();
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (typeof value === "string") return value.replaceAll("\r\n", "\n");
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, value[key]]),
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !Secret.isSecret(value) &&
    !(value instanceof Uint8Array)
  );
}

function isChain(value: unknown): value is Chain {
  return isRecord(value) && Array.isArray(value["steps"]);
}

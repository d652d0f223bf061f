import { toText } from "../llb/to-text.js";
import type { Facts } from "../model/facts.js";
import type { Plan } from "../model/plan.js";
import { formatPlatform } from "../oci/platform.js";

/**
 * A plan as text: its steps, the image's config and the ops, alike on every machine.
 *
 * What names this machine or this one build (trees' names and keys, the session's own ids) is replaced by the ids of
 * what was needed.
 */
export function planSnapshot(plan: Omit<Plan, "toSnapshot">, facts: Facts): string {
  const lines = [`platform ${formatPlatform(plan.platform)}`, `builder ${facts.builderVersion}`];
  for (const { index, title } of plan.steps) lines.push(`step ${index} ${title.replaceAll("\\", "/")}`);
  const config = JSON.stringify(sorted(plan.config.config ?? {}), undefined, 1);
  const ops = plan.definition === undefined ? "result scratch\n" : toText(plan.definition);
  return `${lines.join("\n")}\n\nconfig ${config}\n\n${neutral(ops, facts)}`;
}

function neutral(text: string, facts: Facts): string {
  const replaced: [string, string][] = [[facts.localUniqueId, "<this build>"]];
  for (const [id, { name, sharedKeyHint }] of facts.trees) {
    replaced.push([name, `<tree ${id}>`], [sharedKeyHint, `<tree ${id}>`]);
  }
  for (const [id, base] of facts.bases) {
    if (base.kind === "oci-layout") replaced.push([base.store, `<layout ${id}>`]);
  }
  if (facts.force?.kind === "apart") replaced.push([facts.force.nonce, "<nonce>"]);
  let result = text;
  // Longer texts first: a tree's name holds its key.
  for (const [from, to] of replaced.sort(([a], [b]) => b.length - a.length)) {
    if (from !== "") result = result.replaceAll(from, to);
  }
  return result;
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
}

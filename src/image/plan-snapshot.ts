import { quote } from "../llb/op-lines.js";
import { toText } from "../llb/to-text.js";
import type { Facts } from "../model/facts.js";
import type { Plan } from "../model/plan.js";
import { formatPlatform } from "../oci/platform.js";
import { withForwardSlashes } from "./local-paths.js";
import { withoutVersions } from "./secret-version.js";

/**
 * A plan as text: its steps, the image's config and the ops, alike on every machine.
 *
 * What names this machine or this one build (trees' names and keys, the session's own ids, secrets' versions) is replaced
 * by the ids of what was needed; `paths` are local paths to be written with forward slashes. No values of secrets are in it.
 */
export function planSnapshot(
  plan: Omit<Plan, "toSnapshot">,
  facts: Facts,
  paths: readonly string[] = [],
): string {
  const lines = [`platform ${formatPlatform(plan.platform)}`, `builder ${facts.builderVersion}`];
  for (const { index, title } of plan.steps) lines.push(`step ${index} ${withForwardSlashes(title, paths)}`);
  const config = JSON.stringify(sorted(plan.config.config ?? {}), undefined, 1);
  const ops = plan.definition === undefined ? "result scratch\n" : toText(plan.definition);
  return `${lines.join("\n")}\n\nconfig ${config}\n\n${neutral(ops, facts, paths)}`;
}

function neutral(text: string, facts: Facts, paths: readonly string[]): string {
  const replaced: [string, string][] = [[facts.localUniqueId, "<this build>"]];
  for (const [id, { name, sharedKeyHint }] of facts.trees) {
    replaced.push([name, `<tree ${id}>`], [sharedKeyHint, `<tree ${id}>`]);
  }
  for (const [id, base] of facts.bases) {
    if (base.kind === "oci-layout") replaced.push([base.store, `<layout ${id}>`]);
  }
  if (facts.force?.kind === "apart") replaced.push([facts.force.nonce, "<nonce>"]);
  // Longer texts first: a tree's name holds its key.
  replaced.sort(([a], [b]) => b.length - a.length);
  const rewrite = (word: string): string =>
    replaced.reduce(
      (result, [from, to]) => (from === "" ? result : result.replaceAll(from, to)),
      withoutVersions(withForwardSlashes(word, paths)),
    );
  // Words are in quotes only where they need to be, which may change with what is in them.
  return text
    .split("\n")
    .map((line) =>
      line.replaceAll(/"(?:[^"\\]|\\.)*"|[^"]+/g, (part) => {
        if (!part.startsWith('"')) return rewrite(part);
        const word = String(JSON.parse(part));
        const rewritten = rewrite(word);
        return rewritten === word ? part : quote(rewritten);
      }),
    )
    .join("\n");
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

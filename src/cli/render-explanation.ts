import type { ExplainedBuild, ExplainedStep, Explanation } from "../model/explanation.js";
import { cleanText } from "./clean-text.js";
import { formatDuration } from "./progress/frame.js";
import { shortTitle, table } from "./table.js";

/** Why the steps of a build ran, or how they differ from those of another build. */
export function renderExplanation({ build, against, steps }: Explanation): string {
  const lines = [`build ${describe(build)}`];
  if (against !== undefined) lines.push(`beside ${describe(against)}`);
  const head =
    against === undefined ? ["STEP", "WHAT", "TOOK", "TITLE", "WHY"] : ["STEP", "TITLE", "DIFFERENCE"];
  const rows = steps.map((step) => {
    const { index, title, cause } = step;
    const cells = [String(index + 1), ...(against === undefined ? [step.outcome, took(step)] : [])];
    return [...cells, shortTitle(title), cause?.text ?? (against === undefined ? "" : "-")];
  });
  return `${lines.join("\n")}\n\n${table(head, rows)}`;
}

function describe(build: ExplainedBuild): string {
  const { ref, name, daemon, platform, outcome, verified, startedAt, durationMs } = build;
  const when = new Date(startedAt).toISOString().slice(0, 19);
  const what = verified ? "was there already" : outcome === "canceled" ? "cancelled" : outcome;
  return cleanText(
    `${ref} of ${name}: ${what} after ${formatDuration(durationMs)}, ${when}, ${platform}, ${daemon}`,
  ).replaceAll(/\s+/g, " ");
}

function took({ outcome, durationMs }: ExplainedStep): string {
  return ["ran", "failed", "canceled"].includes(outcome) ? formatDuration(durationMs) : "";
}

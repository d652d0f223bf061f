import pc from "picocolors";
import { formatCallSite } from "../errors.js";
import type { LintFinding, LintSeverity } from "../image/lint/lint-finding.js";
import { cleanText } from "./clean-text.js";

const colors: Readonly<Record<LintSeverity, (text: string) => string>> = {
  error: (text) => pc.red(pc.bold(text)),
  warning: pc.yellow,
  info: pc.cyan,
};

/** Findings of lint as people read them, and how many there are of each weight. */
export function renderFindings(findings: readonly LintFinding<unknown>[]): string {
  const lines = findings.flatMap(({ rule, severity, message, step, title, location, hint }) => [
    `${colors[severity](severity)} ${cleanText(message)} ${pc.dim(`[${rule}]`)}`,
    `  step ${step + 1}: ${cleanText(title)}`,
    ...(location === undefined ? [] : [`  at ${pc.cyan(formatCallSite(location))}`]),
    `  ${pc.green("hint:")} ${cleanText(hint)}`,
  ]);
  const counts = (["error", "warning", "info"] as const).map(
    (severity) => [severity, findings.filter((finding) => finding.severity === severity).length] as const,
  );
  const summary = counts
    .filter(([, count]) => count > 0)
    .map(([severity, count]) => `${count} ${severity}${count === 1 || severity === "info" ? "" : "s"}`);
  return `${[...lines, summary.length === 0 ? "nothing found" : summary.join(", ")].join("\n")}\n`;
}

import type { LintedStep, Rule, RuleFinding } from "../rule.js";

const install =
  /(?:^|(?<!\buv)[\s;&|(])(?:\S*\/)?(?:pip\d*(?:\.\d+)?|python[\d.]*\s+-m\s+pip)\s(?:[^;&|\n]*\s)?install\b/;

/** `pip install` in a command: pip keeps a copy of all that it downloads in the layer. */
export const pipLeavesCache: Rule = {
  id: "pip-leaves-cache",
  severity: "warning",
  check({ steps }) {
    const found: RuleFinding[] = [];
    let off = false;
    for (const [index, step] of steps.entries()) {
      off ||= turnsOff(Object.entries(step.traits.env ?? {}));
      if (off || turnsOff(step.step.options?.env ?? []) || !step.commands.some(leaves)) continue;
      found.push({
        step: index,
        message: "pip install leaves its downloads in the layer, beside what it installs",
        hint: "Use pipInstall or uvPipInstall, whose cache stays on the daemon, or pass --no-cache-dir.",
      });
    }
    return found;
  },
};

function leaves({ text, flags }: LintedStep["commands"][number]): boolean {
  if (!install.test(text)) return false;
  const isOff =
    /--no-cache-dir\b|\bPIP_NO_CACHE_DIR=|\brm\s+(?:-\w+\s+)+\S*\.cache\b|\bpip\s+cache\s+purge\b/.test(text);
  return !isOff && !flags.some((flag) => /^--mount=/.test(flag) && /type=(?:cache|tmpfs)/.test(flag));
}

function turnsOff(vars: readonly (readonly [string, string])[]): boolean {
  return vars.some(([name, value]) => name === "PIP_NO_CACHE_DIR" && value !== "");
}

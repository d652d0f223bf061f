import type { BuilderVersion } from "../builder-version.js";
import type { AppliedStep, Chain } from "../define-step.js";
import { dockerfileInstructions } from "./dockerfile-instructions.js";
import type { LintedStep } from "./rule.js";

/** A step with what rules look at. */
export function lintedStep(step: AppliedStep, builder: BuilderVersion): LintedStep {
  const traits = step.traits({ builder });
  const { packages = [], commands = [] } = traits;
  const runsNothing = step.options === undefined && packages.length === 0 && commands.length === 0;
  const own = traits.changes ?? (runsNothing ? "cheap" : "install");
  const lines = commands.flatMap(({ kind, text }) => (kind === "dockerfile" ? [text] : []));
  const instructions = dockerfileInstructions(lines.join("\n"));
  return {
    step,
    traits,
    changes: nestedChains(step, builder).some((chain) => hasLocal(chain, builder)) ? "local" : own,
    layers: traits.layers ?? (own === "cheap" ? 0 : 1),
    commands: [
      ...commands.flatMap(({ kind, text }) => (kind === "shell" ? [{ text: joined(text), flags: [] }] : [])),
      ...instructions.flatMap(({ name, flags, text }) => (name === "RUN" ? [{ text, flags }] : [])),
    ],
    instructions,
  };
}

/** The other chains that a step takes files of. */
export function nestedChains(step: AppliedStep, builder: BuilderVersion): readonly Chain[] {
  const { images = {} } = step.needs({ builder, file: () => undefined, listing: () => undefined });
  return Object.values(images);
}

/** A script with its continued lines joined, as its shell reads it. */
function joined(text: string): string {
  return text.replaceAll(/\\\r?\n/g, "");
}

function hasLocal(chain: Chain, builder: BuilderVersion): boolean {
  return chain.steps.some((step) => lintedStep(step, builder).changes === "local");
}

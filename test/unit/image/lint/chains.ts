import { defineStep } from "../../../../src/image/define-step.js";
import { Image } from "../../../../src/image/image.js";
import type { LintOptions } from "../../../../src/image/lint/lint.js";
import type { LintFinding, LintRuleId } from "../../../../src/image/lint/lint-finding.js";
import { checkStepOptions } from "../../../../src/image/step-options.js";
import type { PackageTrait, StepTraits } from "../../../../src/image/step-traits.js";

/** A base that no rule has anything to say about. */
export const base: Image = Image.fromRegistry(`debian:bookworm-slim@sha256:${"a".repeat(64)}`);

/** A step that says this of itself and runs a command. */
export const sayingOf = defineStep({
  id: "acme.say",
  version: 1,
  validate: (traits: StepTraits) => ({ traits, options: checkStepOptions("acme.say", undefined) }),
  title: ({ traits }) => `acme.say ${traits.packages?.map(({ spec }) => spec).join(" ") ?? ""}`.trim(),
  options: ({ options }) => options,
  lower: (chain, _args, context) => context.run(chain, { argv: ["true"] }),
  traits: ({ traits }) => traits,
});

/** Installs packages with a manager. */
export function installing(image: Image, manager: PackageTrait["manager"], ...specs: string[]): Image {
  return image.step(sayingOf, { packages: specs.map((spec) => ({ manager, spec })) });
}

/** Runs lines of a Dockerfile. */
export function dockerfile(image: Image, ...lines: string[]): Image {
  return image.step(sayingOf, { commands: lines.map((text) => ({ kind: "dockerfile" as const, text })) });
}

/** What one rule finds. */
export function found(
  image: Image,
  rule: LintRuleId,
  options: LintOptions = {},
): readonly LintFinding<Image>[] {
  return image.lint(options).filter((finding) => finding.rule === rule);
}

/** A step's message by rule, severity and place, e.g. `warning 1: …`. */
export function lines(findings: readonly LintFinding<Image>[]): readonly string[] {
  return findings.map(({ severity, step, message }) => `${severity} ${step}: ${message}`);
}

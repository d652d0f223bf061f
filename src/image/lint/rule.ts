import type { StepRecord } from "../../model/build-record.js";
import type { AppliedStep } from "../define-step.js";
import type { StepTraits } from "../step-traits.js";
import type { ImageInstruction } from "./dockerfile-instructions.js";
import type { LintRuleId, LintSeverity } from "./lint-finding.js";

/** A command of a step, as its shell gets it. */
export interface LintedCommand {
  readonly text: string;
  /** Flags of a Dockerfile's RUN: `--mount=type=cache,…`. */
  readonly flags: readonly string[];
}

/** A step with what rules look at, defaults filled in. */
export interface LintedStep {
  readonly step: AppliedStep;
  readonly traits: StepTraits;
  readonly changes: "local" | "install" | "cheap";
  readonly layers: number;
  /** Shell commands, those of Dockerfile instructions among them. */
  readonly commands: readonly LintedCommand[];
  /** Instructions of Dockerfiles. */
  readonly instructions: readonly ImageInstruction[];
}

/** An image in a source lock, as far as lint looks at it; other entries are left alone. */
export interface LintLockEntry {
  readonly type: string;
  /** E.g. `docker-image://docker.io/library/alpine:3.20`. */
  readonly source: string;
  readonly digest?: string | undefined;
}

/** A chain as rules see it. */
export interface LintedChain {
  readonly steps: readonly LintedStep[];
  /** It is the image of a `copyFrom`: its layers do not count, and nothing in it can be mended from outside. */
  readonly nested: boolean;
  /** Layers of the base, 0 if not known. */
  readonly baseLayers: number;
  readonly lock: readonly LintLockEntry[] | undefined;
  /** How the steps went in a build of this chain; no entry for one that is not of this chain. */
  readonly measured: ReadonlyMap<number, StepRecord>;
}

/** What a rule says about a step. */
export interface RuleFinding {
  /** Index in {@link LintedChain.steps}. */
  readonly step: number;
  /** Default: the rule's. */
  readonly severity?: LintSeverity | undefined;
  readonly message: string;
  readonly hint: string;
  readonly fix?: (() => readonly AppliedStep[]) | undefined;
}

/** A rule of lint. Pure. */
export interface Rule {
  readonly id: LintRuleId;
  readonly severity: LintSeverity;
  readonly check: (chain: LintedChain) => readonly RuleFinding[];
}

/** Findings of a rule that looks at each step by itself. */
export function eachStep(
  check: (step: LintedStep, index: number) => readonly Omit<RuleFinding, "step">[],
): Rule["check"] {
  return ({ steps }) =>
    steps.flatMap((step, index) => check(step, index).map((finding) => ({ ...finding, step: index })));
}

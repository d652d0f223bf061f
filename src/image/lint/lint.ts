import { checkOptions } from "../../internal/check-options.js";
import type { BuildRecord, StepRecord } from "../../model/build-record.js";
import { builderVersion } from "../builder-version.js";
import { argumentError, describe } from "../check-args.js";
import type { AppliedStep, Chain } from "../define-step.js";
import { findSecrets } from "./find-secrets.js";
import type { LintFinding, LintRuleId, LintSeverity } from "./lint-finding.js";
import { lintedStep, nestedChains } from "./linted-step.js";
import { maskSecrets } from "./mask-secrets.js";
import type { LintedChain, LintLockEntry, Rule } from "./rule.js";
import { aptWithoutCleanup } from "./rules/apt-without-cleanup.js";
import { cdHasNoEffect } from "./rules/cd-has-no-effect.js";
import { curlPipeShell } from "./rules/curl-pipe-shell.js";
import { layerLimit } from "./rules/layer-limit.js";
import { pathReplaced } from "./rules/path-replaced.js";
import { pipLeavesCache } from "./rules/pip-leaves-cache.js";
import { secretInRecipe } from "./rules/secret-in-recipe.js";
import { unpinnedBase } from "./rules/unpinned-base.js";
import { unpinnedPackage } from "./rules/unpinned-package.js";
import { volatileBeforeStable } from "./rules/volatile-before-stable.js";

/** Options of {@link lint}. */
export interface LintOptions {
  /** Switches a rule off, or has all that it finds weigh so much. */
  readonly rules?: Readonly<Partial<Record<LintRuleId, LintSeverity | "off" | undefined>>> | undefined;
  /** A build of the same chain: says what an order costs. Steps that were cached then are not counted. */
  readonly record?: Pick<BuildRecord, "steps"> | undefined;
  /** A source lock (`readSourceLock`): what it holds is pinned, and can be written into the chain. */
  readonly lock?: { readonly sources: readonly LintLockEntry[] } | undefined;
  /** How many layers the base has, for `layer-limit`. Default 0. */
  readonly baseLayers?: number | undefined;
  /** Default: the newest. */
  readonly builderVersion?: string | undefined;
}

const rules: readonly Rule[] = [
  ...[secretInRecipe, volatileBeforeStable, unpinnedBase, unpinnedPackage, aptWithoutCleanup],
  ...[pipLeavesCache, curlPipeShell, cdHasNoEffect, pathReplaced, layerLimit],
];

/** The ids of all rules. */
export const lintRuleIds: readonly LintRuleId[] = rules.map(({ id }) => id);

/** Severities, the heaviest first. */
export const lintSeverities: readonly LintSeverity[] = ["error", "warning", "info"];

/**
 * What is doubtful in a chain, in the order of its steps. Pure: nothing is read or asked.
 *
 * Images that `copyFrom` names are looked at too. `rebuild` makes an image of a fix's steps. Throws
 * `ERR_KILN_UNKNOWN_OPTION` or `ERR_KILN_INVALID_ARGUMENT` for wrong options.
 */
export function lint<Image>(
  image: Chain,
  options: LintOptions | undefined,
  rebuild: (steps: readonly AppliedStep[]) => Image,
): readonly LintFinding<Image>[] {
  const { baseLayers = 0, lock, record } = checkLintOptions(options);
  const builder = builderVersion(options?.builderVersion);
  const severities = options?.rules ?? {};
  const found: LintFinding<Image>[] = [];
  check(image, undefined);
  // Stable: findings of a step stay in the order of the rules, those of its nested image after them.
  return found.sort((a, b) => a.step - b.step);

  function check(chain: Chain, shownAs: number | undefined): void {
    const steps = chain.steps.map((step) => lintedStep(step, builder));
    const linted: LintedChain = {
      steps,
      nested: shownAs !== undefined,
      baseLayers,
      lock: lock?.sources,
      measured: shownAs === undefined ? measuredSteps(chain, record) : new Map(),
    };
    const secrets = steps.flatMap(findSecrets);
    const masked = (text: string): string => maskSecrets(text, secrets);
    for (const rule of rules) {
      const severity = severities[rule.id];
      if (severity === "off") continue;
      for (const { fix, ...finding } of rule.check(linted)) {
        const step = chain.steps[finding.step];
        if (step === undefined) continue;
        found.push({
          rule: rule.id,
          severity: severity ?? finding.severity ?? rule.severity,
          message: masked(finding.message),
          step: shownAs ?? finding.step,
          id: step.id,
          title: masked(step.title),
          location: step.location,
          hint: masked(finding.hint),
          ...(fix === undefined || shownAs !== undefined ? {} : { fix: () => rebuild(fix()) }),
        });
      }
    }
    for (const [index, step] of chain.steps.entries()) {
      for (const nested of nestedChains(step, builder)) check(nested, shownAs ?? index);
    }
  }
}

function measuredSteps({ steps }: Chain, record: LintOptions["record"]): ReadonlyMap<number, StepRecord> {
  const own = (record?.steps ?? []).filter(({ index, id, title }) => {
    const step = steps[index];
    return step?.id === id && step.title === title;
  });
  return new Map(own.map((step) => [step.index, step]));
}

function checkLintOptions(options: LintOptions | undefined): LintOptions {
  checkOptions("lint", options, ["rules", "record", "lock", "baseLayers", "builderVersion"]);
  const { rules: severities, record, lock, baseLayers } = options ?? {};
  checkOptions("lint: rules", severities, lintRuleIds);
  for (const [rule, severity] of Object.entries(severities ?? {})) {
    if (severity === undefined || severity === "off" || lintSeverities.includes(severity)) continue;
    throw argumentError("lint", `there is no severity ${describe(severity)} for ${rule}`, {
      hint: `Write "off", ${lintSeverities.map((item) => `"${item}"`).join(", ")}.`,
    });
  }
  if (record !== undefined && !Array.isArray(record?.steps)) {
    throw argumentError("lint", `record must be a build's result, got ${describe(record)}`, {
      hint: "Pass await engine.build(image).result.",
    });
  }
  if (lock !== undefined && !Array.isArray(lock?.sources)) {
    throw argumentError("lint", `lock must be a source lock, got ${describe(lock)}`, {
      hint: 'Pass await readSourceLock("kiln.lock"), of kiln-engine/client.',
    });
  }
  if (baseLayers !== undefined && !(Number.isInteger(baseLayers) && baseLayers >= 0)) {
    throw argumentError("lint", `baseLayers must be a whole number, got ${describe(baseLayers)}`);
  }
  return options ?? {};
}

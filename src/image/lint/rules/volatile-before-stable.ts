import type { AppliedStep } from "../../define-step.js";
import { dependence, surroundingsBefore } from "../depends-on-files.js";
import type { LintedChain, Rule, RuleFinding } from "../rule.js";

/**
 * Local files before steps that fetch and take their time without using them: each change of a file runs those again.
 *
 * The fix moves the files behind the steps that certainly do not use them: installs of packages by name, and
 * configuration. Commands may read anything, so they are only ever named in the hint.
 */
export const volatileBeforeStable: Rule = {
  id: "volatile-before-stable",
  severity: "warning",
  check: (chain) => chain.steps.flatMap((_step, index) => checkFiles(chain, index)),
};

function checkFiles(chain: LintedChain, index: number): readonly RuleFinding[] {
  const { steps } = chain;
  const files = steps[index];
  // The first step is the base: there is nothing to put before it.
  if (index === 0 || files?.changes !== "local") return [];
  const later = steps.slice(index + 1);
  const rerun = later.filter(({ changes }) => changes === "install").length;
  const verdicts = later.map((step, offset) =>
    dependence(step, files, surroundingsBefore(steps, index + 1 + offset)),
  );
  const saved = upTo(verdicts.indexOf("uses"));
  const safe = upTo(verdicts.findIndex((verdict) => verdict !== "free"));
  if (saved.length === 0) return [];
  const names = saved.map((place) => quoted(steps[place]?.step));
  const last = saved.at(-1) ?? index;
  const lastSafe = safe.at(-1);
  const uncertain = saved.length > safe.length;
  return [
    {
      step: index,
      message: `each change of these files runs ${count(rerun, "later step")} again, ${
        saved.length === rerun
          ? rerun === 1
            ? "which does"
            : "which do"
          : `of which ${count(saved.length, "step")} ${saved.length === 1 ? "does" : "do"}`
      } not ${uncertain ? "seem to " : ""}use them: ${names.join(", ")}${cost(chain, saved)}`,
      hint: `Put it after ${quoted(steps[last]?.step)}${
        uncertain ? ", if the commands before that do not read the files" : ""
      }.`,
      ...(chain.nested || lastSafe === undefined ? {} : { fix: () => moved(chain, index, lastSafe) }),
    },
  ];

  /** Places of the steps that need not run again if the files come right before the step at this offset. */
  function upTo(offset: number): readonly number[] {
    const end = offset < 0 ? later.length : offset;
    return later
      .slice(0, end)
      .flatMap(({ changes }, place) => (changes === "install" ? [index + 1 + place] : []));
  }
}

function moved({ steps }: LintedChain, from: number, after: number): readonly AppliedStep[] {
  const all = steps.map(({ step }) => step);
  return [
    ...all.slice(0, from),
    ...all.slice(from + 1, after + 1),
    ...all.slice(from, from + 1),
    ...all.slice(after + 1),
  ];
}

function cost({ measured }: LintedChain, places: readonly number[]): string {
  const ran = places.flatMap((place) => {
    const record = measured.get(place);
    return record?.outcome === "ran" ? [record.durationMs] : [];
  });
  if (ran.length === 0) return "";
  const seconds = ran.reduce((sum, ms) => sum + ms, 0) / 1000;
  const shown = seconds < 10 ? seconds.toFixed(1) : String(Math.round(seconds));
  return `; that costs ${ran.length < places.length ? "at least " : ""}${shown} s each time, as measured`;
}

function quoted(step: AppliedStep | undefined): string {
  return `"${step?.title ?? ""}"`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

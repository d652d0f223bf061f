import { readFile, stat } from "node:fs/promises";
import type { Command } from "commander";
import { KilnError } from "../../errors.js";
import { type LintOptions, lintRuleIds, lintSeverities } from "../../image/lint/lint.js";
import type { LintRuleId, LintSeverity } from "../../image/lint/lint-finding.js";
import { exitCodes } from "../exit-codes.js";
import { loadRecipe } from "../recipe.js";
import { renderFindings } from "../render-findings.js";
import { wrongFlag } from "../spec-fields.js";

/** A build's result is some KiB; what is longer is something else. */
const recordLimit = 16 * 1024 * 1024;

interface LintFlags {
  readonly json?: boolean;
  readonly failOn: string;
  readonly rule: readonly string[];
  readonly lock?: string;
  readonly record?: string;
  readonly baseLayers?: string;
}

/** Adds `kiln lint`. */
export function addLintCommand(program: Command): void {
  program
    .command("lint")
    .description("say what is doubtful in a recipe; nothing is built")
    .argument("<recipe>", "FILE[#export], as for kiln build")
    .option("--json", "the findings as JSON on standard output")
    .option("--fail-on <severity>", "exit with 1 from this weight on: error, warning, info, never", "error")
    .option("--rule <rule=severity>", "e.g. unpinned-base=off; repeatable", collect, [])
    .option("--lock <file>", "a lock file: what it holds is pinned")
    .option("--record <file>", "what kiln build --json printed: says what an order of steps costs")
    .option("--base-layers <n>", "how many layers the base has")
    .addHelpText("after", `\nRules: ${lintRuleIds.join(", ")}`)
    .action(async (recipe: string, flags: LintFlags) => {
      const threshold = checkThreshold(flags.failOn);
      const options: LintOptions = {
        rules: Object.fromEntries(flags.rule.map(parseRule)),
        baseLayers: parseCount(flags.baseLayers),
        record: flags.record === undefined ? undefined : await readRecord(flags.record),
        lock: flags.lock === undefined ? undefined : await readLock(flags.lock),
      };
      const image = await loadRecipe(recipe, process.cwd());
      const findings = image.lint(options);
      process.stdout.write(
        flags.json === true
          ? `${JSON.stringify({
              findings: findings.map(({ fix, ...finding }) => ({ ...finding, fixable: fix !== undefined })),
            })}\n`
          : renderFindings(findings),
      );
      const fails = findings.some(({ severity }) => lintSeverities.indexOf(severity) <= threshold);
      if (fails) process.exitCode = exitCodes.failed;
    });
}

function collect(text: string, before: readonly string[]): readonly string[] {
  return [...before, text];
}

/** Index of the lightest severity that counts; -1 = none. */
function checkThreshold(failOn: string): number {
  if (failOn === "never") return -1;
  const index = (lintSeverities as readonly string[]).indexOf(failOn);
  if (index >= 0) return index;
  throw wrongFlag("--fail-on", `there is no severity "${failOn}"`, "It takes error, warning, info or never.");
}

function parseRule(text: string): readonly [LintRuleId, LintSeverity | "off"] {
  const [name, severity] = text.split("=");
  const rule = lintRuleIds.find((id) => id === name);
  if (rule === undefined) {
    throw wrongFlag("--rule", `there is no rule "${name}"`, `Rules: ${lintRuleIds.join(", ")}.`);
  }
  if (severity === "off") return [rule, severity];
  const weight = lintSeverities.find((known) => known === severity);
  if (weight !== undefined) return [rule, weight];
  throw wrongFlag("--rule", `${name} can weigh off, error, warning or info`, `E.g. --rule ${name}=off`);
}

function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || /^\d{1,4}$/.test(text)) return text === undefined ? undefined : Number(text);
  throw wrongFlag("--base-layers", `"${text}" is no number of layers`, "E.g. --base-layers 5.");
}

async function readLock(file: string): Promise<NonNullable<LintOptions["lock"]>> {
  const { readSourceLock } = await import("../../engine/read-lock.js");
  return readSourceLock(file);
}

async function readRecord(file: string): Promise<NonNullable<LintOptions["record"]>> {
  let text: string;
  try {
    if ((await stat(file)).size > recordLimit) throw wrongRecord(file, "it is larger than 16 MiB");
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof KilnError) throw error;
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `cannot read the record ${file}`, {
      cause: error,
      hint: "Write one: kiln build RECIPE --json > record.json",
    });
  }
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    throw wrongRecord(file, "it is not JSON");
  }
  if (isRecord(record)) return record;
  throw wrongRecord(file, "it has no steps with index, id, title, outcome and durationMs");
}

function isRecord(value: unknown): value is NonNullable<LintOptions["record"]> {
  if (typeof value !== "object" || value === null || !("steps" in value) || !Array.isArray(value.steps))
    return false;
  return value.steps.every((step: unknown) => {
    if (typeof step !== "object" || step === null) return false;
    const { index, id, title, outcome, durationMs } = step as Readonly<Record<string, unknown>>;
    return (
      [id, title, outcome].every((text) => typeof text === "string") &&
      [index, durationMs].every((number) => typeof number === "number")
    );
  });
}

function wrongRecord(file: string, why: string): KilnError {
  return wrongFlag("--record", `${file}: ${why}`, "It takes what kiln build RECIPE --json printed.");
}

import type { Command } from "commander";
import { type ExplainedRefs, explainBuilds, type RecordedBuilds } from "../../engine/explain.js";
import { openRecorded } from "../../engine/explain-recorded.js";
import { renderExplanation } from "../render-explanation.js";

/** Where `kiln explain` finds builds, and how the contents of their files differ. */
export interface ExplainPlace {
  readonly builds: RecordedBuilds;
  readonly diffs?: Parameters<typeof explainBuilds>[2];
}

/** Adds `kiln explain`; `open` opens the index once the command is run, by default the user's own. */
export function addExplainCommand(
  program: Command,
  open: () => ExplainPlace | Promise<ExplainPlace> = openRecorded,
): void {
  program
    .command("explain")
    .description("say why the steps of a build ran, or what makes two builds differ")
    .argument("[build]", "a build, by its ref or the beginning of it (default: the last one)")
    .argument("[other]", "another one: what makes its steps others than those of the first")
    .option("--json", "as JSON on standard output")
    .action(
      async (
        build: ExplainedRefs["build"],
        other: ExplainedRefs["other"],
        flags: { readonly json?: boolean },
      ) => {
        const { builds, diffs } = await open();
        const explanation = await explainBuilds(builds, { build, other }, diffs);
        process.stdout.write(
          flags.json === true ? `${JSON.stringify(explanation)}\n` : renderExplanation(explanation),
        );
      },
    );
}

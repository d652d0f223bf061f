import { eachStep, type Rule } from "../rule.js";

const lone =
  /^\s*(?:(cd|pushd)\s+[^;&|\n]+|(export|umask|alias|unset)\s+[^;&|\n]+|(source|\.)\s+[^;&|\n]+|(conda|mamba|micromamba)\s+activate\b[^;&|\n]*)\s*;?\s*$/;

/** A command that changes nothing but its own shell, which ends with it: `cd`, `export`, `source`. */
export const cdHasNoEffect: Rule = {
  id: "cd-has-no-effect",
  severity: "warning",
  check: eachStep(({ commands }) =>
    commands.flatMap(({ text }) => {
      const [whole, cd, variable, script] = lone.exec(text) ?? [];
      if (whole === undefined) return [];
      const word = /\S+/.exec(whole)?.[0] ?? "";
      return [
        {
          message: `${word} does nothing for later commands: each command has a shell of its own`,
          hint:
            cd !== undefined
              ? 'Use workdir("…") before the step, or write cd … && command.'
              : variable === "export"
                ? "Use env({ … }), or write the command after it with &&."
                : script !== undefined
                  ? "Write the command that needs it after it, with &&."
                  : "Write it before the command that needs it, with &&.",
        },
      ];
    }),
  ),
};

import { checkOptions } from "../../internal/check-options.js";
import { defaultShell } from "../chain-state.js";
import { argumentError, splitVariadic } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import {
  checkStepOptions,
  optionNeeds,
  optionRequest,
  type StepOptions,
  stepOptionKeys,
} from "./step-options.js";

/** Options of `runCommands`. */
export type RunCommandsOptions = StepOptions;

/**
 * Runs shell commands, each in an exec of its own: a change to one reruns it and what follows.
 *
 * Commands run as root in the image's working directory, with its environment and shell. A string is a
 * script for that shell, verbatim; it may have several lines.
 */
export const runCommands: Step<readonly unknown[]> = defineStep({
  id: "runCommands",
  version: 1,
  validate(input: readonly unknown[]) {
    const { items, options } = splitVariadic<RunCommandsOptions>("runCommands", input);
    checkOptions("runCommands", options, stepOptionKeys);
    for (const command of items) {
      if (command.trim() === "") throw argumentError("runCommands", "an empty command does nothing");
      if (command.includes("\0")) throw argumentError("runCommands", "a command cannot hold a NUL character");
    }
    return { commands: items, ...checkStepOptions("runCommands", options) };
  },
  title: ({ commands, name }) => name ?? `runCommands ${oneLine(commands.join(" && "))}`,
  needs: optionNeeds,
  lower(chain, args, context) {
    const { commands, name } = args;
    let next = chain;
    for (const command of commands) {
      const argv = [...(next.config.Shell ?? defaultShell), command];
      const title = name === undefined ? `runCommands ${oneLine(command)}` : `${name}: ${oneLine(command)}`;
      next = context.run(next, { ...optionRequest(args), argv, command, title });
    }
    return next;
  },
});

function oneLine(text: string): string {
  const line = text.trim().replaceAll(/\s*\n\s*/g, " ⏎ ");
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}

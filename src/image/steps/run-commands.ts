import { argumentError, splitVariadic } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { oneLine } from "../one-line.js";
import { checkStepOptions, type StepOptions } from "../step-options.js";

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
    const checked = checkStepOptions("runCommands", options);
    for (const command of items) {
      if (command.trim() === "") {
        throw argumentError("runCommands", "an empty command does nothing", {
          hint: "Leave it out, or write what it should run.",
        });
      }
      if (command.includes("\0")) {
        throw argumentError("runCommands", "a command cannot hold a NUL character", {
          hint: "Write such bytes with printf.",
        });
      }
    }
    return { commands: items, options: checked };
  },
  title: ({ commands }) => `runCommands ${oneLine(commands.join(" && "))}`,
  options: ({ options }) => options,
  lower(chain, { commands, options }, context) {
    let next = chain;
    for (const command of commands) {
      const title = `${options.name === undefined ? "runCommands " : `${options.name}: `}${oneLine(command)}`;
      next = context.run(next, { script: command, title });
    }
    return next;
  },
  traits: ({ commands }) => ({
    commands: commands.map((text) => ({ kind: "shell", text })),
    layers: commands.length,
  }),
  modal: ({ commands }) => [modalLayer(commands.map((command) => `RUN ${command}`))],
});

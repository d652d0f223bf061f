import { defineStep, type Step } from "../define-step.js";

/** Starts from nothing: no files, an empty config. */
export const fromScratch: Step<undefined> = defineStep({
  id: "fromScratch",
  version: 1,
  validate: () => undefined,
  title: () => "fromScratch",
  lower: (chain) => chain,
  modal: () => [{ commands: ["FROM scratch"], contextFiles: {} }],
});

import { argumentError, checkStringList, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { shellQuote } from "../shell-quote.js";
import { checkEnv } from "../step-options.js";

/**
 * Sets the working directory of later steps and of containers. A relative path is joined to the current one.
 * Makes no layer: the directory is created by the first step that runs in it, or by the container.
 */
export const workdir: Step<string> = defineStep({
  id: "workdir",
  version: 1,
  validate(path: string) {
    if (typeof path !== "string" || path === "" || path.includes("\0")) {
      throw argumentError("workdir", `needs a path inside the image, got ${describe(path)}`, {
        hint: 'Write workdir("/app").',
      });
    }
    return path;
  },
  title: (path) => `workdir ${path}`,
  lower: (chain, path, context) => context.configure(chain, { kind: "workdir", path }),
  modal: (path) => [modalLayer([`WORKDIR ${shellQuote(path)}`])],
});

/** Sets the user that containers run as. Build steps run as root all the same. */
export const user: Step<string> = defineStep({
  id: "user",
  version: 1,
  validate(name: string) {
    if (typeof name === "string" && /^[^\s:]+(?::[^\s:]+)?$/.test(name) && !name.includes("\0")) return name;
    throw argumentError("user", `needs a user, got ${describe(name)}`, {
      hint: 'Write user("app"), user("1000") or user("1000:1000").',
    });
  },
  title: (name) => `user ${name}`,
  lower: (chain, name, context) => context.configure(chain, { kind: "user", user: name }),
});

/** Adds labels; a label that is there already is replaced. */
export const label: Step<Readonly<Record<string, string>>> = defineStep({
  id: "label",
  version: 1,
  validate: (labels: Readonly<Record<string, string>>) => checkEnv("label", labels),
  title: (entries) => `label ${entries.map(([key]) => key).join(" ")}`,
  lower: (chain, entries, context) => context.configure(chain, { kind: "label", entries }),
});

/**
 * Sets what containers run. An empty list clears it. As in Docker, a command inherited from the base is
 * dropped with it; one that this chain set stays.
 */
export const entrypoint: Step<readonly string[]> = defineStep({
  id: "entrypoint",
  version: 1,
  validate: (argv: readonly string[]) => checkStringList("entrypoint", argv, '["python", "-m", "app"]'),
  title: (argv) => `entrypoint ${JSON.stringify(argv)}`,
  lower: (chain, argv, context) => context.configure(chain, { kind: "entrypoint", argv }),
  modal: (argv) => [modalLayer([`ENTRYPOINT ${modalList(argv)}`])],
});

/** Sets the arguments that containers run with unless given others. An empty list clears it. */
export const cmd: Step<readonly string[]> = defineStep({
  id: "cmd",
  version: 1,
  validate: (argv: readonly string[]) => checkStringList("cmd", argv, '["--port", "80"]'),
  title: (argv) => `cmd ${JSON.stringify(argv)}`,
  lower: (chain, argv, context) => context.configure(chain, { kind: "cmd", argv }),
  modal: (argv) => [modalLayer([`CMD ${modalList(argv)}`])],
});

/** Sets the shell of later `runCommands`; it is recorded in the config as Docker's SHELL is. */
export const shell: Step<readonly string[]> = defineStep({
  id: "shell",
  version: 1,
  validate(argv: readonly string[]) {
    const list = checkStringList("shell", argv, '["/bin/bash", "-c"]');
    if (list.length === 0) {
      throw argumentError("shell", "an empty shell cannot run anything", {
        hint: 'Write shell(["/bin/sh", "-c"]).',
      });
    }
    return list;
  },
  title: (argv) => `shell ${JSON.stringify(argv)}`,
  lower: (chain, argv, context) => context.configure(chain, { kind: "shell", argv }),
  modal: (argv) => [modalLayer([`SHELL ${modalList(argv)}`])],
});

// Modal joins the strings between quotes and escapes nothing.
function modalList(argv: readonly string[]): string {
  return `[${argv.map((item) => `"${item}"`).join(", ")}]`;
}

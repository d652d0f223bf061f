import { posix } from "node:path";
import { withConfig, withEmptyHistory } from "../chain-state.js";
import { argumentError, checkStringList, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { checkEnv } from "./step-options.js";

/**
 * Sets the working directory of later steps and of containers. A relative path is joined to the current one.
 * Makes no layer: the directory is created by the first step that runs in it, or by the container.
 */
export const workdir: Step<string> = defineStep({
  id: "workdir",
  version: 1,
  validate(path: string) {
    if (typeof path !== "string" || path === "" || path.includes("\0")) {
      throw argumentError("workdir", `needs a path inside the image, got ${describe(path)}`);
    }
    return path;
  },
  title: (path) => `workdir ${path}`,
  lower(chain, path) {
    const WorkingDir = posix.resolve("/", chain.config.WorkingDir ?? "/", path);
    const next = withConfig({ ...chain, state: chain.state.dir(WorkingDir) }, { WorkingDir });
    return withEmptyHistory(next, `WORKDIR ${WorkingDir}`);
  },
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
  lower: (chain, name) => withEmptyHistory(withConfig(chain, { User: name }), `USER ${name}`),
});

/** Adds labels; a label that is there already is replaced. */
export const label: Step<Readonly<Record<string, string>>> = defineStep({
  id: "label",
  version: 1,
  validate: (labels: Readonly<Record<string, string>>) => checkEnv("label", labels),
  title: (entries) => `label ${entries.map(([key]) => key).join(" ")}`,
  lower(chain, entries) {
    const Labels = { ...chain.config.Labels, ...Object.fromEntries(entries) };
    const line = entries.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(" ");
    return withEmptyHistory(withConfig(chain, { Labels }), `LABEL ${line}`);
  },
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
  lower(chain, argv) {
    const Entrypoint = argv.length === 0 ? undefined : argv;
    const next = withConfig(chain, { Entrypoint, ...(chain.cmdSet ? {} : { Cmd: undefined }) });
    return withEmptyHistory(next, `ENTRYPOINT ${JSON.stringify(argv)}`);
  },
});

/** Sets the arguments that containers run with unless given others. An empty list clears it. */
export const cmd: Step<readonly string[]> = defineStep({
  id: "cmd",
  version: 1,
  validate: (argv: readonly string[]) => checkStringList("cmd", argv, '["--port", "80"]'),
  title: (argv) => `cmd ${JSON.stringify(argv)}`,
  lower(chain, argv) {
    const next = withConfig({ ...chain, cmdSet: true }, { Cmd: argv.length === 0 ? undefined : argv });
    return withEmptyHistory(next, `CMD ${JSON.stringify(argv)}`);
  },
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
  lower: (chain, argv) =>
    withEmptyHistory(withConfig(chain, { Shell: argv }), `SHELL ${JSON.stringify(argv)}`),
});

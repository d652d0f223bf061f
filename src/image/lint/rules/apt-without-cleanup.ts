import { eachStep, type LintedCommand, type Rule } from "../rule.js";

const install = /\bapt(?:-get)?\s(?:[^&|;\n]*\s)?(?:install|upgrade|dist-upgrade|full-upgrade)\b/;
const update = /\bapt(?:-get)?\s(?:[^&|;\n]*\s)?update\b/;
const removal = /\brm\s+(?:-\w+\s+)+["']?\/var\/lib\/apt(?:\/lists)?\b/;

/**
 * `apt-get` in commands: lists that stay in the layer, and an `update` whose lists are as old as its cached layer when a
 * later command installs from them.
 */
export const aptWithoutCleanup: Rule = {
  id: "apt-without-cleanup",
  severity: "warning",
  check: eachStep(({ commands, instructions }) => {
    // A RUN of a Dockerfile makes a layer each, as do the commands of runCommands.
    const hint = `${
      instructions.length > 0
        ? "Write RUN apt-get update && apt-get install -y … && rm -rf /var/lib/apt/lists/*"
        : 'Use aptInstall("…")'
    }, which fetches new lists and leaves none in the image.`;
    const stale = commands.some(({ text }) => update.test(text) && !install.test(text));
    const left = commands.some(
      (command) => update.test(command.text) && install.test(command.text) && !cleans(command),
    );
    return [
      ...(stale
        ? [
            {
              message:
                "apt-get update in a command of its own: while that is cached, what installs after it uses old lists",
              hint,
            },
          ]
        : []),
      ...(left
        ? [{ message: "apt-get leaves its package lists in the layer, for nobody to use", hint }]
        : []),
    ];
  }),
};

function cleans({ text, flags }: LintedCommand): boolean {
  return (
    removal.test(text) ||
    flags.some(
      (flag) =>
        /^--mount=/.test(flag) &&
        /type=(?:cache|tmpfs)/.test(flag) &&
        /(?:target|dst|destination)=\/var\/lib\/apt/.test(flag),
    )
  );
}

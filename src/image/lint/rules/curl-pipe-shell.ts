import type { Rule, RuleFinding } from "../rule.js";

const piped =
  /\b(?:curl|wget)\b[^\n;&|]*\|\s*(?:sudo\s+(?:-\w+\s+)*)?(?:\w+=\S+\s+)*(?:\/\S*\/)?(?:env\s+)?(?:sh|bash|dash|zsh|ash|python[\d.]*|node|perl)\b/;

/**
 * A download that is piped into a shell: when it fails, the shell gets an empty script, which succeeds, and a layer
 * without what it should have installed is cached.
 */
export const curlPipeShell: Rule = {
  id: "curl-pipe-shell",
  severity: "warning",
  check({ steps }) {
    const found: RuleFinding[] = [];
    let shellChecks = false;
    for (const [index, { step, commands }] of steps.entries()) {
      if (step.id === "shell") shellChecks = Array.isArray(step.args) && step.args.includes("pipefail");
      const fails = ({ text }: { readonly text: string }): boolean =>
        piped.test(text) && !/\bpipefail\b/.test(text);
      if (shellChecks || !commands.some(fails)) continue;
      found.push({
        step: index,
        message: "a download is piped into a shell: if it fails, the command succeeds all the same",
        hint: "Download with curl -fsSL -o FILE, check it (sha256sum -c) and run it, joined with &&; or set -o pipefail.",
      });
    }
    return found;
  },
};

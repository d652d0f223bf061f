import { shellQuote } from "../shell-quote.js";
import { giveUp } from "./find-python.js";
import type { PrivateRepo } from "./private-repo.js";

/** The variable that holds the user's name for git. */
export const gitUserVariable = "KILN_GIT_USER";

/**
 * Lines of a shell script after which git, and what runs it, may read private repositories. Tokens come from the
 * variables of the step's secrets, and go to git's credential helper only: they are in no argument and in no file.
 *
 * Each is for the host that git would ask, which is another one where git is told so (`url.….insteadOf`).
 */
export function gitCredentials(call: string, repos: readonly PrivateRepo[]): readonly string[] {
  const variables = [...new Set(repos.map(({ token }) => token))];
  const urls = new Map(repos.map(({ url, token }) => [url, token]));
  return [
    ...variables.map((name) => {
      const host = repos.find(({ token }) => token === name)?.url.split("/")[2] ?? "";
      const none = giveUp(
        `${call}: none of the step's secrets has ${name}, the token for repositories on ${host}: pass e.g. secrets: [Secret.fromEnv("${name}")].`,
        1,
      );
      return `[ -n "\${${name}:-}" ] || ${none}`;
    }),
    "export GIT_TERMINAL_PROMPT=0",
    `GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=kiln.probe GIT_CONFIG_VALUE_0=1 git config kiln.probe >/dev/null || ${giveUp(
      `${call} needs git 2.31 or later in the image.`,
      1,
    )}`,
    credentialFunction,
    ...[...urls].map(([url, token]) => `credential ${shellQuote(url)} ${token}`),
  ];
}

// Within double quotes of a shell: `\\$$2` becomes the name of the variable, which git's shell expands when it asks.
const helper = String.raw`!f() { test \"\$1\" = get || exit 0; printf 'username=%s\npassword=%s\n' \"\$${gitUserVariable}\" \"\$(printf %s \"\$$2\")\"; }; f`;

const credentialFunction = `credential() {
  url="$(git ls-remote --get-url "$1")"
  case "$url" in https://* | http://*) ;; *) return 0 ;; esac
  host="\${url#*://}"
  host="\${host%%/*}"
  n="\${GIT_CONFIG_COUNT:-0}"
  export "GIT_CONFIG_KEY_$n=credential.\${url%%://*}://\${host##*@}.helper"
  export "GIT_CONFIG_VALUE_$n=${helper}"
  export GIT_CONFIG_COUNT=$((n + 1))
}`;

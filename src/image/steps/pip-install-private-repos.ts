import { compareBytes } from "../../llb/byte-order.js";
import type { SecretOrigin } from "../../model/secret.js";
import { aptMounts } from "../apt-mounts.js";
import { argumentError, describe, splitVariadic } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { modalLayer } from "../modal-layer.js";
import { giveUp } from "../python/find-python.js";
import { gitCredentials, gitUserVariable } from "../python/git-credentials.js";
import { distinct } from "../python/package-list.js";
import {
  checkPipOptions,
  modalPipFlags,
  type PipOptions,
  pipFlags,
  pipOptionKeys,
  pipUrls,
} from "../python/pip-options.js";
import { pipRun } from "../python/pip-run.js";
import { type PrivateRepo, parsePrivateRepo } from "../python/private-repo.js";
import { shellQuote } from "../shell-quote.js";
import { type CheckedStepOptions, checkStepOptions } from "../step-options.js";

/** Options of `pipInstallPrivateRepos`. `secrets` must hold `GITHUB_TOKEN`, `GITLAB_TOKEN`, or both. */
export interface PipInstallPrivateReposOptions extends PipOptions {
  /** The user that the token belongs to. */
  readonly gitUser: string;
}

const call = "pipInstallPrivateRepos";

/**
 * Installs Python packages out of private repositories on GitHub and GitLab. Git is installed by apt if the image has
 * none. Tokens are in no argument, no log and no file.
 */
export const pipInstallPrivateRepos: Step<readonly unknown[]> = defineStep({
  id: call,
  version: 1,
  validate(input: readonly unknown[]) {
    const { items, options } = splitVariadic<PipInstallPrivateReposOptions>(call, input);
    const checked = checkStepOptions(call, options, [...pipOptionKeys, "gitUser"]);
    const gitUser: unknown = options?.gitUser;
    if (typeof gitUser !== "string" || gitUser === "" || /[\0\n\r]/.test(gitUser)) {
      throw argumentError(call, `gitUser must be the token's user, got ${describe(gitUser)}`, {
        hint: `Write ${call}("github.com/org/repo", { gitUser: "me", secrets: [Secret.fromEnv("GITHUB_TOKEN")] }).`,
      });
    }
    const invalid = items.filter((ref) => parsePrivateRepo(ref) === undefined);
    if (invalid.length > 0) {
      throw argumentError(
        call,
        `${invalid.length} out of ${items.length} given repository refs are invalid: ${invalid.map(describe).join(", ")}`,
        {
          hint: 'Write "github.com/org/repo@ref" or "gitlab.com/org/repo@ref#subdirectory=package", without a scheme.',
        },
      );
    }
    checkTokens(
      items.flatMap((ref) => parsePrivateRepo(ref) ?? []),
      checked,
    );
    return { repos: items, gitUser, pip: checkPipOptions(call, options), options: checked };
  },
  title: ({ repos }) => `${call} ${distinct(repos).join(" ")}`,
  options: ({ options }) => options,
  lower(chain, { repos, gitUser, pip }, context) {
    const parsed = distinct([...repos].sort(compareBytes)).flatMap((ref) => parsePrivateRepo(ref) ?? []);
    const withGit = context.run(chain, {
      argv: ["/bin/sh", "-c", installGit],
      command: "apt-get install -y git",
      title: `${call}: git, if there is none`,
      ...aptMounts(context.platform),
    });
    const args = [...parsed.map(({ ref }) => shellQuote(`git+https://${ref}`)), ...pipFlags(pip)];
    return context.run(
      withGit,
      pipRun(call, args, context, {
        before: gitCredentials(call, parsed),
        env: [[gitUserVariable, gitUser]],
      }),
    );
  },
  traits: ({ repos, pip }) => ({
    packages: distinct(repos).map((ref) => ({ manager: "pip", spec: `git+https://${ref}` })),
    urls: [...distinct(repos).flatMap((ref) => parsePrivateRepo(ref)?.url ?? []), ...pipUrls(pip)],
    layers: 2,
  }),
  modal({ repos, gitUser, pip, options }) {
    const names = modalSecretNames(options);
    const guards = (["github", "gitlab"] as const)
      .filter((host) => repos.some((ref) => ref.startsWith(host)))
      .map((host) => {
        const token = `${host.toUpperCase()}_TOKEN`;
        return `RUN bash -c "[[ -v ${token} ]] || (echo '${token} env var not set by provided modal.Secret(s): ${names}' && exit 1)"`;
      });
    return [
      modalLayer([
        ...guards,
        "RUN apt-get update && apt-get install -y git",
        ...repos.map((ref) => {
          const url = `git+https://${gitUser}:$${parsePrivateRepo(ref)?.token}@${ref}`;
          return `RUN python3 -m pip install "${url}" ${modalPipFlags(pip)}`.trim();
        }),
      ]),
    ];
  },
});

const installGit = `command -v git >/dev/null || { command -v apt-get >/dev/null || ${giveUp(
  `${call} needs git, and this image has neither git nor apt-get: install git in an earlier step.`,
  127,
)}; apt-get update && apt-get install -y --no-install-recommends -- git ca-certificates; }`;

function checkTokens(repos: readonly PrivateRepo[], { secrets, env }: CheckedStepOptions): void {
  const wanted = distinct(repos.map(({ token }) => token));
  const example = wanted[0] ?? "GITHUB_TOKEN";
  const hint = `Pass secrets: [Secret.fromEnv("${example}")].`;
  const exposed = env.find(([key]) => wanted.includes(key));
  if (exposed !== undefined) {
    throw argumentError(call, `${exposed[0]} is in env, which is part of the image's definition`, { hint });
  }
  if (secrets.length === 0) {
    throw argumentError(call, "no secrets: private repositories need a token", { hint });
  }
  // What a provider or a dotenv file will give is seen when the step runs.
  if (!secrets.every(({ origin }) => origin.kind === "object" || origin.kind === "env")) return;
  const known = new Set(secrets.flatMap(({ origin }) => keysOf(origin)));
  const missing = wanted.filter((name) => !known.has(name));
  if (missing.length === 0) return;
  throw argumentError(call, `none of the secrets has ${missing.join(" or ")}`, { hint });
}

function keysOf(origin: SecretOrigin): readonly string[] {
  return "keys" in origin ? origin.keys : [];
}

/** The secrets as Modal's builder writes them down. */
function modalSecretNames({ secrets, env }: CheckedStepOptions): string {
  const names = secrets.map(({ origin }) => {
    if (origin.kind === "name") return `Secret.from_name('${origin.name}')`;
    if (origin.kind === "dotenv") return "Secret.from_dotenv()";
    return `Secret.from_dict([${origin.keys.join(", ")}])`;
  });
  if (env.length > 0) names.push(`Secret.from_dict([${env.map(([key]) => key).join(", ")}])`);
  return names.join(",");
}

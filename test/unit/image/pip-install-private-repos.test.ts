import { describe, expect, it } from "vitest";
import { compile } from "../../../src/image/compile.js";
import { Image } from "../../../src/image/image.js";
import { Secret } from "../../../src/image/secret.js";
import { facts } from "./facts.js";
import { modalLines, thrown } from "./step-support.js";

const base = Image.fromRegistry("python");
const github = Secret.fromObject({ GITHUB_TOKEN: "very-secret" });
const me = { gitUser: "me", secrets: [github] };

describe("pipInstallPrivateRepos", () => {
  it.each([
    [
      "other hosts and forms",
      () =>
        base.pipInstallPrivateRepos(
          "github.com/org/repo",
          "bitbucket.org/org/repo",
          "https://github.com/org/repo",
          "github.com/org",
          me,
        ),
      '3 out of 4 given repository refs are invalid: "bitbucket.org/org/repo", "https://github.com/org/repo", "github.com/org"',
      "without a scheme",
    ],
    [
      "shell characters",
      () => base.pipInstallPrivateRepos("github.com/org/repo@$(id)", me),
      "1 out of 1",
      "github.com/org/repo@ref",
    ],
    [
      "no secrets",
      () => base.pipInstallPrivateRepos("github.com/org/repo", { gitUser: "me" }),
      "no secrets",
      'Secret.fromEnv("GITHUB_TOKEN")',
    ],
    [
      "secrets without the token",
      () => base.pipInstallPrivateRepos("gitlab.com/org/repo", "github.com/org/repo", me),
      "GITLAB_TOKEN",
      'Secret.fromEnv("GITLAB_TOKEN")',
    ],
    [
      "a token that is no secret",
      () =>
        base.pipInstallPrivateRepos("github.com/org/repo", { ...me, env: { GITHUB_TOKEN: "very-secret" } }),
      "GITHUB_TOKEN is in env",
      "secrets:",
    ],
    [
      "no user",
      () => base.pipInstallPrivateRepos("github.com/org/repo", { secrets: [github] } as never),
      "gitUser",
      'gitUser: "me"',
    ],
  ])("refuses %s at the call", (_title, call, message, hint) => {
    const error = thrown(call);
    expect(error).toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
      location: { file: import.meta.filename },
    });
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
    expect(`${error.message}${error.hint}`).not.toContain("very-secret");
  });

  it("leaves it to the step whether a provider or a file gives the token", () => {
    for (const secret of [Secret.fromName("git"), Secret.fromDotenv()]) {
      const image = base.pipInstallPrivateRepos("github.com/org/repo", { gitUser: "me", secrets: [secret] });
      expect(image.steps).toHaveLength(2);
    }
    expect(base.pipInstallPrivateRepos([], me)).toBe(base);
  });

  it("installs git if there is none, then all repositories at once, tokens by name alone", () => {
    const image = base.pipInstallPrivateRepos(
      "github.com/org/two@main#subdirectory=a&egg=b",
      "github.com/org/one@1.0.0",
      "gitlab.com/group/sub/three",
      { gitUser: "it's me", secrets: [Secret.fromEnv("GITHUB_TOKEN", "GITLAB_TOKEN")], pre: true },
    );
    const secrets = new Map([
      ["1.options.secret.0", ["GITHUB_TOKEN", "GITLAB_TOKEN"].map((env) => ({ env, id: `env.${env}` }))],
    ]);
    const plan = compile(image, facts({}, { secrets }));
    expect([...plan.commands.values()].map(({ command }) => command)).toEqual([
      "apt-get install -y git",
      "python -m pip install git+https://github.com/org/one@1.0.0 'git+https://github.com/org/two@main#subdirectory=a&egg=b' git+https://gitlab.com/group/sub/three --pre",
    ]);
    expect(plan.config.history?.at(-1)?.created_by).not.toContain("it's me");
  });
});

describe("Modal's rendering of pipInstallPrivateRepos", () => {
  it("guards each host, and has a command a repository, in the order given", () => {
    const image = base.pipInstallPrivateRepos(
      "github.com/ecorp/private-two@main",
      "gitlab.com/ecorp/private-one@1.0.0",
      {
        gitUser: "erikbern",
        secrets: [Secret.fromName("git-read"), Secret.fromObject({ A: "1", B: "2" })],
        env: { C: "3" },
        extraOptions: "--no-deps",
      },
    );
    const names = "Secret.from_name('git-read'),Secret.from_dict([A, B]),Secret.from_dict([C])";
    expect(modalLines(image)).toEqual([
      `RUN bash -c "[[ -v GITHUB_TOKEN ]] || (echo 'GITHUB_TOKEN env var not set by provided modal.Secret(s): ${names}' && exit 1)"`,
      `RUN bash -c "[[ -v GITLAB_TOKEN ]] || (echo 'GITLAB_TOKEN env var not set by provided modal.Secret(s): ${names}' && exit 1)"`,
      "RUN apt-get update && apt-get install -y git",
      'RUN python3 -m pip install "git+https://erikbern:$GITHUB_TOKEN@github.com/ecorp/private-two@main" --no-deps',
      'RUN python3 -m pip install "git+https://erikbern:$GITLAB_TOKEN@gitlab.com/ecorp/private-one@1.0.0" --no-deps',
    ]);
  });
});

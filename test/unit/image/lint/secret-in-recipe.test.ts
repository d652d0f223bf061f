import { describe, expect, it } from "vitest";
import type { Image } from "../../../../src/image/image.js";
import { Secret } from "../../../../src/image/secret.js";
import { base, dockerfile, found, sayingOf } from "./chains.js";

// Put together here, so that no scanner takes this file for a leak.
const random = "a1B2c3D4e5F6g7H8i9J0";
const tokens: readonly (readonly [string, string])[] = [
  ["a GitHub token", `${"ghp"}_${random}${random}`],
  ["a GitHub token", `${"github"}_pat_${random}${random}`],
  ["a GitLab token", `${"glpat"}-${random}`],
  ["a Slack token", `${"xoxb"}-${random}`],
  ["an AWS access key", `${"AKIA"}ABCDEFGHIJ234567`],
  ["a Hugging Face token", `${"hf"}_${random}${random}`],
  ["an npm token", `${"npm"}_${random}${random}`],
  ["a PyPI token", `${"pypi"}-${random}${random}`],
  ["an API key", `${"sk"}-proj-${random}${random}`],
  ["a JSON web token", `${"eyJ"}${random}.eyJ${random}.${random}`],
];

describe("finds", () => {
  it.each(tokens)("%s wherever it stands, and prints it nowhere", (what, token) => {
    const places: readonly Image[] = [
      base.env({ SOME: token }),
      base.runCommands("true", { env: { SOME: token } }),
      base.runCommands(`git clone https://github.com/a/b && echo ${token}`),
      base.label({ note: token }),
      base.entrypoint(["x", token]),
      base.step(sayingOf, { urls: [`https://example.com/${token}`] }),
      dockerfile(base, `ARG X=${token}`),
      base.copyFrom(base.env({ X: token }), "/a"),
    ];
    for (const image of places) {
      const findings = found(image, "secret-in-recipe");
      expect(findings).toMatchObject([{ severity: "error", message: expect.stringContaining(what) }]);
      expect(JSON.stringify(image.lint())).not.toContain(token.slice(4));
    }
  });

  it.each([
    ["a password by its name", { DB_PASSWORD: "hunter2" }, "error"],
    ["a token by its name", { MY_TOKEN: "abc" }, "error"],
    ["a key of an API", { OPENAI_API_KEY: "abcdef" }, "error"],
    ["a key that looks random", { LICENSE_KEY: random }, "warning"],
  ])("%s, with what to write in its place", (_title, env, severity) => {
    const [name = ""] = Object.keys(env);
    expect(found(base.env(env), "secret-in-recipe")).toMatchObject([
      {
        severity,
        message: `the variable ${name} holds a literal value that its name calls a secret, which stays in the image's config`,
        hint: expect.stringContaining(`Secret.fromEnv("${name}")`),
      },
    ]);
  });

  it.each([
    ["a password in a URL", "git clone https://user:hunter2@example.com/a/b"],
    ["a token in a URL", "curl https://example.com/?token=hunter2hunter2"],
    ["a variable of a command", "API_TOKEN=hunter2 ./deploy"],
    ["a quoted variable", 'export DB_PASSWORD="hunter2 hunter2" && ./x'],
    ["an option", "./login --password hunter2"],
    ["an option with =", "./login --api-key='hunter2'"],
    ["npm's token", "npm config set //npm.example.com/:_authToken=hunter2"],
    ["a header", "curl -H 'Authorization: Bearer hunter2hunter2' https://example.com"],
    ["curl's user", "curl -u me:hunter2 https://example.com"],
    ["a private key", "echo '-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----' > /k"],
  ])("%s in a command, without saying it", (_title, command) => {
    const image = base.runCommands(command);
    expect(found(image, "secret-in-recipe")).toHaveLength(1);
    expect(JSON.stringify(image.lint())).not.toContain("hunter2");
    expect(found(dockerfile(base, `RUN ${command.replaceAll("\n", " ")}`), "secret-in-recipe")).toHaveLength(
      1,
    );
  });

  it("an ENV line of a Dockerfile in both spellings", () => {
    expect(found(dockerfile(base, "ENV API_TOKEN=hunter2"), "secret-in-recipe")).toHaveLength(1);
    expect(found(dockerfile(base, "ENV API_TOKEN hunter2"), "secret-in-recipe")).toHaveLength(1);
    expect(found(dockerfile(base, "ARG API_TOKEN"), "secret-in-recipe")).toEqual([]);
  });

  it("one value once, though it stands in several places", () => {
    const image = base.runCommands("echo $A_TOKEN", { env: { A_TOKEN: "hunter2hunter2" } });
    expect(found(image, "secret-in-recipe")).toHaveLength(1);
    const [, token = ""] = tokens[0] ?? [];
    expect(
      found(base.runCommands(`GH_TOKEN=${token} x https://a:${token}@example.com`), "secret-in-recipe"),
    ).toHaveLength(1);
  });
});

it("masks a value that a title cuts short, and in what other rules say", () => {
  const [, token = ""] = tokens[0] ?? [];
  const long = base.runCommands(`${"x".repeat(90)} ${token}`);
  expect(found(long, "secret-in-recipe")[0]?.title).toMatch(/^runCommands x{90} \*\*\*…$/);
  const image = base.step(sayingOf, {
    packages: [{ manager: "pip", spec: `git+https://u:${token}@example.com/a.git` }],
  });
  expect(image.lint().map(({ rule }) => rule)).toEqual(["secret-in-recipe", "unpinned-package"]);
  expect(JSON.stringify(image.lint())).not.toContain(token);
});

describe("says nothing of", () => {
  it.each([
    [
      "variables",
      base.runCommands(
        'curl -H "Authorization: Bearer $TOKEN" https://u:$PASSWORD@example.com',
        'A_TOKEN="$(cat /run/x)" y',
      ),
    ],
    [
      "secrets",
      base.runCommands("true", { secrets: [Secret.fromObject({ A_TOKEN: `${"ghp"}_${random}${random}` })] }),
    ],
    [
      "other names",
      base.env({ TOKENIZERS_PARALLELISM: "false", MAX_TOKENS: "4096", KEYBOARD: "us", TOKEN_LIMIT: "4096" }),
    ],
    ["placeholders", base.env({ A_TOKEN: "", B_TOKEN: "changeme", C_TOKEN: "<token>", D_PASSWORD: "xxxx" })],
    [
      "files and addresses",
      base.env({
        SSL_KEY: "/etc/ssl/private.key",
        AUTH_TOKEN: "/run/secrets/t",
        MY_KEY: "https://example.com/a1b2c3d4e5",
      }),
    ],
    ["words under weak names", base.env({ CACHE_KEY: "v1", SORT_KEY: "created-at", SSH_AUTH: "none" })],
    [
      "digests and commits",
      base.runCommands(`echo ${"0a".repeat(32)} | sha256sum -c`, `git checkout ${"0a".repeat(20)}`),
    ],
    [
      "addresses without a password",
      base.runCommands("git clone ssh://git@example.com/a", "curl http://localhost:8080/@x"),
    ],
    ["secrets of other programs", base.runCommands("docker build --secret id=token,env=X .")],
    [
      "kebab-case words",
      base.label({ about: "ask-the-team-for-a-word-that-is-rather-long sk-learn-contrib-package-name" }),
    ],
  ])("%s", (_title, image) => {
    expect(found(image, "secret-in-recipe")).toEqual([]);
  });
});

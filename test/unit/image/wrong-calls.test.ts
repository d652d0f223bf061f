import { describe, expect, it } from "vitest";
import { type CallSite, Image, KilnError, Secret } from "../../../src/index.js";

// Wrong on purpose, so the types must not stand in the way.
// biome-ignore lint/suspicious/noExplicitAny: the calls under test are those that the compiler refuses
const Loose = Image as any;
const base = () => Loose.fromRegistry("debian:12");

interface WrongCall {
  readonly what: string;
  readonly code: string;
  /** A part of the hint. */
  readonly hint: string | RegExp;
  readonly call: () => unknown;
}

const argument = "ERR_KILN_INVALID_ARGUMENT";
const unknown = "ERR_KILN_UNKNOWN_OPTION";

const calls: readonly WrongCall[] = [
  // Bases.
  {
    what: "a scheme in a reference",
    code: "ERR_KILN_INVALID_REFERENCE",
    hint: "debian",
    call: () => Loose.fromRegistry("https://debian"),
  },
  {
    what: "an upper-case repository",
    code: "ERR_KILN_INVALID_REFERENCE",
    hint: "ghcr.io/me/image",
    call: () => Loose.fromRegistry("ghcr.io/Me/Image"),
  },
  {
    what: "no reference",
    code: "ERR_KILN_INVALID_REFERENCE",
    hint: "debian",
    call: () => Loose.fromRegistry(),
  },
  {
    what: "secrets in place of secret",
    code: unknown,
    hint: "secret",
    call: () => Loose.fromRegistry("x", { secrets: [] }),
  },
  {
    what: "a secret that is none",
    code: argument,
    hint: "Secret",
    call: () => Loose.fromRegistry("x", { secret: "token" }),
  },
  {
    what: "snake_case in a base",
    code: unknown,
    hint: "addPython",
    call: () => Loose.fromRegistry("x", { add_python: "3.12" }),
  },
  {
    what: "a Python that is a number",
    code: argument,
    hint: /"3\.1/,
    call: () => Loose.debianSlim({ pythonVersion: 3.1 }),
  },
  {
    what: "a Python that nobody has",
    code: argument,
    hint: "3.1",
    call: () => Loose.debianSlim({ pythonVersion: "2.7" }),
  },
  {
    what: "an unknown option of debianSlim",
    code: unknown,
    hint: "pythonVersion",
    call: () => Loose.debianSlim({ python_version: "3.12" }),
  },
  {
    what: "a Node that nobody has",
    code: argument,
    hint: "full version",
    call: () => Loose.node({ version: "3" }),
  },
  {
    what: "an ECR host that is none",
    code: "ERR_KILN_INVALID_REFERENCE",
    hint: "amazonaws.com",
    call: () => Loose.fromAwsEcr("ghcr.io/me/x"),
  },
  {
    what: "an Artifact Registry host that is none",
    code: "ERR_KILN_INVALID_REFERENCE",
    hint: "pkg.dev",
    call: () => Loose.fromGcpArtifactRegistry("ghcr.io/me/x"),
  },
  {
    what: "a Dockerfile that is no path",
    code: argument,
    hint: "Dockerfile",
    call: () => Loose.fromDockerfile(7),
  },
  { what: "a layout that is no path", code: argument, hint: /./, call: () => Loose.fromOciLayout("") },
  {
    what: "a name with a slash",
    code: "ERR_KILN_INVALID_REFERENCE",
    hint: "plain names",
    call: () => Loose.fromName("me/x"),
  },
  {
    what: "an id that is no digest",
    code: "ERR_KILN_INVALID_DIGEST",
    hint: "sha256",
    call: () => Loose.fromId("im-123"),
  },
  { what: "a rootfs that is no path", code: argument, hint: /./, call: () => Loose.fromRootfs({}) },
  // Packages.
  {
    what: "a flag among Debian packages",
    code: argument,
    hint: "runCommands",
    call: () => base().aptInstall("git", "-y"),
  },
  {
    what: "two packages in one string",
    code: argument,
    hint: "One string a package",
    call: () => base().aptInstall("git curl"),
  },
  {
    what: "a nested list",
    code: argument,
    hint: 'aptInstall("a", "b")',
    call: () => base().aptInstall([["git"]]),
  },
  {
    what: "a number among packages",
    code: argument,
    hint: 'pipInstall("a", "b")',
    call: () => base().pipInstall("six", 3),
  },
  {
    what: "a flag among Python packages",
    code: argument,
    hint: "extraOptions",
    call: () => base().pipInstall("--pre"),
  },
  {
    what: "a flag among packages for uv",
    code: argument,
    hint: "extraOptions",
    call: () => base().uvPipInstall("-r"),
  },
  {
    what: "requirements that are no list",
    code: argument,
    hint: "requirements",
    call: () => base().uvPipInstall("six", { requirements: "r.txt" }),
  },
  {
    what: "force_build",
    code: unknown,
    hint: "forceBuild",
    call: () => base().uvPipInstall("six", { force_build: true }),
  },
  {
    what: "private repositories without a secret",
    code: argument,
    hint: "secrets",
    call: () => base().pipInstallPrivateRepos("github.com/me/x", { gitUser: "me" }),
  },
  {
    what: "private repositories elsewhere",
    code: argument,
    hint: "github.com",
    call: () =>
      base().pipInstallPrivateRepos("example.com/me/x", {
        gitUser: "me",
        secrets: [Secret.fromEnv("GITHUB_TOKEN")],
      }),
  },
  {
    what: "a flag among conda packages",
    code: argument,
    hint: /./,
    call: () => base().micromambaInstall("--yes"),
  },
  { what: "a flag among npm packages", code: argument, hint: /./, call: () => base().npmInstall("--global") },
  // Commands and config.
  { what: "an empty command", code: argument, hint: /./, call: () => base().runCommands(" ") },
  {
    what: "a command that is a list in a list",
    code: argument,
    hint: "runCommands",
    call: () => base().runCommands([["ls"]]),
  },
  {
    what: "a variable that is a number",
    code: argument,
    hint: '"6443"',
    call: () => base().env({ PORT: 6443 }),
  },
  { what: "variables as a text", code: argument, hint: "NAME", call: () => base().env("PORT=1") },
  {
    what: "an entrypoint that is a text",
    code: argument,
    hint: "python",
    call: () => base().entrypoint("python"),
  },
  { what: "a command with a number", code: argument, hint: "cmd(", call: () => base().cmd(["sleep", 1]) },
  { what: "an empty shell", code: argument, hint: "/bin/sh", call: () => base().shell([]) },
  { what: "an empty working directory", code: argument, hint: "workdir", call: () => base().workdir("") },
  { what: "a user with a space", code: argument, hint: "user(", call: () => base().user("a b") },
  { what: "a port that is none", code: argument, hint: "8080", call: () => base().expose(70_000) },
  {
    what: "a health check of nothing",
    code: argument,
    hint: "healthcheck(",
    call: () => base().healthcheck([]),
  },
  {
    what: "a duration that is none",
    code: argument,
    hint: "intervalMs",
    call: () => base().healthcheck("true", { intervalMs: "30s" }),
  },
  { what: "a label that is a number", code: argument, hint: '"1"', call: () => base().label({ a: 1 }) },
  // Local files.
  {
    what: "a relative target",
    code: "ERR_KILN_RELATIVE_PATH",
    hint: '"/app"',
    call: () => base().addLocalDir("./src", "app", { copy: true }),
  },
  {
    what: "files at run time",
    code: "ERR_KILN_COPY_REQUIRED",
    hint: "copy: true",
    call: () => base().addLocalDir("./src", "/app"),
  },
  {
    what: "a file at run time",
    code: "ERR_KILN_COPY_REQUIRED",
    hint: "copy: true",
    call: () => base().addLocalFile("a", "/a", {}),
  },
  {
    what: "Python modules at run time",
    code: "ERR_KILN_COPY_REQUIRED",
    hint: "copy: true",
    call: () => base().addLocalPythonSource("app"),
  },
  {
    what: "a module that is a path",
    code: argument,
    hint: /./,
    call: () => base().addLocalPythonSource("./app.py", { copy: true }),
  },
  {
    what: "a pattern that matches nothing",
    code: "ERR_KILN_INVALID_PATTERN",
    hint: /./,
    call: () => base().addLocalDir("a", "/a", { copy: true, ignore: ["!"] }),
  },
  {
    what: "a wrong mode",
    code: argument,
    hint: /./,
    call: () => base().addLocalFile("a", "/a", { copy: true, mode: 0o755 }),
  },
  // Options of every step.
  {
    what: "one secret that is no list",
    code: argument,
    hint: "[secret]",
    call: () => base().runCommands("x", { secrets: Secret.fromEnv("A") }),
  },
  {
    what: "a secret as a text",
    code: argument,
    hint: "Secret.fromEnv",
    call: () => base().runCommands("x", { secrets: ["hunter2"] }),
  },
  {
    what: "a GPU that is no name",
    code: argument,
    hint: "nvidia.com/gpu=0",
    call: () => base().runCommands("x", { gpu: "H100:0" }),
  },
  {
    what: "a timeout of nothing",
    code: argument,
    hint: "ten minutes",
    call: () => base().runCommands("x", { timeoutMs: 0 }),
  },
  {
    what: "forceBuild as a text",
    code: argument,
    hint: "true",
    call: () => base().runCommands("x", { forceBuild: "yes" }),
  },
  {
    what: "a name of two lines",
    code: argument,
    hint: /./,
    call: () => base().runCommands("x", { name: "a\nb" }),
  },
  {
    what: "a bundle that is no path",
    code: argument,
    hint: "ca-certificates",
    call: () => base().runCommands("x", { caBundle: 1 }),
  },
  {
    what: "timeout in another unit",
    code: unknown,
    hint: "timeoutMs",
    call: () => base().runCommands("x", { timeout: 60 }),
  },
  {
    what: "a value that is a number in a step's env",
    code: argument,
    hint: '"1"',
    call: () => base().runCommands("x", { env: { A: 1 } }),
  },
  // Chains.
  {
    what: "a copy from no image",
    code: argument,
    hint: "Image.fromRegistry",
    call: () => base().copyFrom("nginx", "/etc/nginx"),
  },
  { what: "a pipe to no image", code: argument, hint: /./, call: () => base().pipe(() => undefined) },
];

describe("a wrong call is refused at once, with what to do and where it is", () => {
  it.each(calls.map((call) => [call.what, call] as const))("%s", (_what, { code, hint, call }) => {
    let thrown: unknown;
    try {
      call();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(KilnError);
    const error = thrown as KilnError;
    expect({ code: error.code, hint: error.hint }).toEqual({
      code,
      hint: typeof hint === "string" ? expect.stringContaining(hint) : expect.stringMatching(hint),
    });
    const { file, line } = error.location as CallSite;
    expect(file).toMatch(/wrong-calls\.test\.ts$/);
    expect(line).toBeGreaterThan(20);
    expect(`${error.message} ${error.hint}`).not.toContain("hunter2");
  });

  it("and there are more than forty of them", () => {
    expect(calls.length).toBeGreaterThan(40);
    expect(new Set(calls.map(({ what }) => what)).size).toBe(calls.length);
  });
});

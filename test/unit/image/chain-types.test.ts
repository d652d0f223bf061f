import { expect, it } from "vitest";
import { Image, KilnError, Secret } from "../../../src/index.js";

// Each of these must not compile, which the type check sees to, and is refused at the call for those without types.

const base = Image.fromRegistry("debian:12");

it("a wrong chain does not compile, and is refused at the call", () => {
  const wrong: readonly (() => unknown)[] = [
    // @ts-expect-error: 3.10 would be 3.1
    () => Image.debianSlim({ pythonVersion: 3.12 }),
    // @ts-expect-error: snake case
    () => Image.debianSlim({ python_version: "3.12" }),
    // @ts-expect-error: one secret, not several
    () => Image.fromRegistry("debian:12", { secrets: [] }),
    // @ts-expect-error: a secret is no text
    () => Image.fromRegistry("debian:12", { secret: "token" }),
    // @ts-expect-error: a major version is a text
    () => Image.node(22),
    // @ts-expect-error: a list in a list
    () => base.aptInstall([["git"]]),
    // @ts-expect-error: no such option
    () => base.aptInstall("git", { force_build: true }),
    // @ts-expect-error: options come last
    () => base.pipInstall({ pre: true }, "six"),
    // @ts-expect-error: requirements are a list
    () => base.uvPipInstall("six", { requirements: "requirements.txt" }),
    // @ts-expect-error: private repositories need a user and secrets
    () => base.pipInstallPrivateRepos("github.com/me/x"),
    // @ts-expect-error: channels are a list
    () => base.micromambaInstall("numpy", { channels: "conda-forge" }),
    // @ts-expect-error: values are texts
    () => base.env({ PORT: 6443 }),
    // @ts-expect-error: an entrypoint is a list
    () => base.entrypoint("python"),
    // @ts-expect-error: a command holds texts
    () => base.cmd(["sleep", 1]),
    // @ts-expect-error: labels are texts
    () => base.label({ a: 1 }),
    // @ts-expect-error: durations end in Ms
    () => base.runCommands("x", { timeout: 60 }),
    // @ts-expect-error: secrets are a list
    () => base.runCommands("x", { secrets: Secret.fromEnv("A") }),
    // @ts-expect-error: volumes are not there yet
    () => base.runCommands("x", { volumes: {} }),
    // @ts-expect-error: files are copied so far
    () => base.addLocalDir("src", "/app"),
    // @ts-expect-error: and that is said
    () => base.addLocalFile("a", "/a", { copy: false }),
    // @ts-expect-error: modules as well
    () => base.addLocalPythonSource("app"),
    // @ts-expect-error: from an image, not its name
    () => base.copyFrom("nginx", "/etc/nginx"),
    // @ts-expect-error: what a pipe makes is an image
    () => base.pipe(() => "image"),
  ];
  for (const call of wrong) expect(call).toThrow(KilnError);
});

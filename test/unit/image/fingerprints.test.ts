import { describe, expect, it } from "vitest";
import { type FingerprintOptions, fingerprintsOf, forcedFrom } from "../../../src/image/fingerprints.js";
import { Image } from "../../../src/image/image.js";
import { Secret } from "../../../src/image/secret.js";
import type { StepFingerprint } from "../../../src/model/step-input.js";
import { sha256 } from "../../../src/oci/digest.js";

const found: FingerprintOptions = {
  platform: { os: "linux", architecture: "amd64" },
  packageVersion: "0.1.0",
  files: new Map(),
  listings: new Map(),
};

const of = (image: Image, more: Partial<FingerprintOptions> = {}) =>
  fingerprintsOf(image, { ...found, ...more });

const base = Image.fromRegistry("busybox:1.37");

/** The inputs of a step, `kind name` to value. */
const inputsOf = (step: StepFingerprint | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries((step?.inputs ?? []).map(({ kind, name, value }) => [`${kind} ${name}`, value]));

/** Names of the digests in which two steps differ. */
const differences = (a: StepFingerprint | undefined, b: StepFingerprint | undefined): readonly string[] =>
  (["own", "chain", "work", "results"] as const).filter(
    (key) => JSON.stringify(a?.[key]) !== JSON.stringify(b?.[key]),
  );

describe("a fingerprint", () => {
  it("has every argument of a call by name", () => {
    const [, pip] = of(
      base.pipInstall(["six", "numpy"], {
        indexUrl: "https://example.com/simple",
        extraIndexUrl: ["https://a.test", "https://b.test"],
        pre: true,
        env: { LEVEL: "1" },
        gpu: "vendor.com/gpu=0",
        secrets: [Secret.fromEnv("TOKEN")],
      }),
    );
    expect(inputsOf(pip)).toEqual({
      "argument packages": "numpy\nsix",
      "argument pip.indexUrl": "https://example.com/simple",
      "argument pip.extraIndexUrls": "https://a.test\nhttps://b.test",
      "argument pip.pre": "true",
      "env LEVEL": "1",
      "device gpu": "vendor.com/gpu=0",
      "secret TOKEN": "Secret.fromEnv(TOKEN)",
      "setting platform": "linux/amd64",
      "setting builderVersion": "2026.11",
      "setting package": "0.1.0",
    });
    expect(pip?.inputs.find(({ name }) => name === "packages")?.items).toEqual(["numpy", "six"]);
    expect(pip).toMatchObject({
      index: 1,
      id: "pipInstall",
      version: 1,
      effect: "run",
      title: "pipInstall numpy six",
    });
  });

  it("has bases with their digests, trees and files with those of their contents", () => {
    const image = base
      .addLocalDir("./src", "/app", { copy: true, ignore: ["*.log"] })
      .pipInstallFromRequirements("r.txt");
    const [digest, tree] = [sha256("base"), sha256("tree")];
    const [first, dir, pip] = of(image, {
      bases: new Map([["0.base", digest]]),
      trees: new Map([["1.source", tree]]),
      files: new Map([["2.requirements.r.txt", Buffer.from("six")]]),
    });
    expect(first?.inputs).toContainEqual({ kind: "base", name: "busybox:1.37", value: digest });
    expect(dir?.inputs).toContainEqual({ kind: "tree", name: "./src", value: tree, stored: tree });
    expect(dir?.inputs).toContainEqual({
      kind: "argument",
      name: "ignore",
      value: "*.log",
      items: ["*.log"],
    });
    expect(inputsOf(dir)).toMatchObject({
      "argument remotePath": "/app",
      "setting sourceDateEpoch": "default",
    });
    expect(pip?.inputs).toContainEqual({
      kind: "file",
      name: "r.txt",
      value: sha256("six"),
      stored: sha256("six"),
    });
  });

  it("has what goes into an image that is copied from, by dotted names", () => {
    const other = Image.fromRegistry("alpine:3.20").runCommands("make", { env: { LEVEL: "1" } });
    const [, copy] = of(base.copyFrom(other, "/out"));
    expect(inputsOf(copy)).toMatchObject({
      "argument image.2 runCommands: commands": "make",
      "env image.2 runCommands: LEVEL": "1",
      "base image.1 fromRegistry: alpine:3.20": "",
      "argument from": "/out",
    });
    expect(copy?.inputs.find(({ name }) => name === "image")?.items).toEqual(["fromRegistry", "runCommands"]);
  });

  it("tells what a step is to a daemon", () => {
    const effects = of(
      base
        .env({ A: "1" })
        .workdir("/a")
        .user("a")
        .label({ a: "b" })
        .cmd(["sh"])
        .entrypoint(["sh"])
        .expose(80)
        .runCommands("true")
        .addLocalFile("a", "/a", { copy: true })
        .copyFrom(Image.fromRegistry("alpine"), "/bin")
        .dockerfileCommands("RUN true"),
    ).map(({ effect }) => effect);
    expect(effects).toEqual([
      ...["source", "settings", "settings", "settings", "config", "config", "config", "config"],
      ...["run", "copy", "copy", "run"],
    ]);
  });

  it("is alike for what is written otherwise and means the same", () => {
    const [a, b] = [
      of(base.runCommands("true", { name: "one", timeoutMs: 1, forceBuild: true })),
      of(base.runCommands("true")),
    ];
    expect(differences(a[1], b[1])).toEqual([]);
    expect(a[1]?.title).toBe("one");
  });

  it("tells apart what makes a difference to the image alone", () => {
    const [a, b] = [of(base.cmd(["a"]).runCommands("true")), of(base.cmd(["b"]).runCommands("true"))];
    expect(differences(a[1], b[1])).toEqual(["own", "chain"]);
    expect(differences(a[2], b[2])).toEqual(["chain"]);
  });

  it("keeps apart what a step does and what it starts from", () => {
    const before = of(base.runCommands("one").runCommands("two"));
    const after = of(base.runCommands("1").runCommands("two"));
    expect(differences(before[1], after[1])).toEqual(["own", "chain", "work", "results"]);
    expect(differences(before[2], after[2])).toEqual(["chain", "results"]);
    const moved = of(base.env({ A: "1" }).runCommands("one"));
    expect(differences(before[1], moved[2])).toEqual(["own", "chain", "work", "results"]);
  });

  it("is alike whatever other steps mount with it", () => {
    const files = new Map([["1.requirements.r.txt", Buffer.from("six")]]);
    const pip = base.pipInstallFromRequirements("r.txt");
    const alone = of(pip, { files });
    const files2 = new Map([...files, ["2.requirements.r.txt", Buffer.from("six")] as const]);
    const twice = of(pip.pipInstallFromRequirements("r.txt", { pre: true }), { files: files2 });
    expect(differences(alone[1], twice[1])).toEqual([]);
  });

  it("is alike for paths of other systems", () => {
    const windows = of(base.addLocalDir(".\\src\\app", "/app", { copy: true }));
    const unix = of(base.addLocalDir("./src/app", "/app", { copy: true }));
    const posix = windows.map(({ title, inputs }) => ({ title, inputs }));
    expect(posix).toEqual(unix.map(({ title, inputs }) => ({ title, inputs })));
    expect(windows[1]?.own).toBe(unix[1]?.own);
    expect(windows[1]?.chain).toBe(unix[1]?.chain);
  });

  it("counts the version of this package only for the step itself", () => {
    const image = base.runCommands("true");
    expect(differences(of(image)[1], of(image, { packageVersion: "0.2.0" })[1])).toEqual(["own", "chain"]);
  });

  it("counts versions of secrets, devices that were chosen, and a nonce from their step on", () => {
    const image = base
      .runCommands("one")
      .runCommands("two", { secrets: [Secret.fromEnv("TOKEN")], gpu: "H100" })
      .addLocalFile("a", "/a", { copy: true });
    const plain = of(image);
    for (const more of [
      { secretVersions: new Map([["2.options.secret.0", "v1"]]) },
      { devices: new Map([["2.options.gpu", "nvidia.com/gpu=0"]]) },
    ]) {
      const other = of(image, more);
      expect(differences(plain[1], other[1])).toEqual([]);
      expect(differences(plain[2], other[2])).toEqual(["own", "chain", "work", "results"]);
      expect(differences(plain[3], other[3])).toEqual(["chain", "results"]);
    }
    expect(differences(plain[1], of(image, { nonce: "n" })[1])).toEqual(["own", "chain", "work", "results"]);
    expect(differences(plain[0], of(image, { nonce: "n" })[0])).toEqual([]);
  });

  it("does not count how a tree comes to the daemon, but tells it", () => {
    const image = base.addLocalDir("src", "/src", { copy: true });
    const [plain, layers] = [of(image), of(image, { copies: [{ tree: "1.source", way: "layers" }] })];
    expect(differences(plain[1], layers[1])).toEqual([]);
    expect(inputsOf(layers[1])).toMatchObject({ "setting way of src": "layers" });
  });

  it("counts a whole context where the chain's image could depend on it, and names it where it is read", () => {
    const tree = (text: string) => ({ trees: new Map([["1.context", sha256(text)]]) });
    const unread = base.dockerfileCommands("RUN true");
    const [a, b] = [of(unread, tree("a"))[1], of(unread, tree("b"))[1]];
    expect(differences(a, b)).toEqual(["own", "chain"]);
    expect(a?.inputs.some(({ kind }) => kind === "tree")).toBe(false);
    for (const line of [
      "COPY . /a",
      "ADD a /a",
      "RUN --mount=target=/a true",
      "RUN --mount=type=bind,target=/a true",
    ]) {
      const read = base.dockerfileCommands(line);
      expect(differences(of(read, tree("a"))[1], of(read, tree("b"))[1]), line).toContain("work");
    }
    for (const line of [
      "COPY --from=x . /a",
      "RUN --mount=type=cache,target=/a true",
      "RUN --mount=from=x,target=/a true",
    ]) {
      const apart = base.dockerfileCommands(line);
      expect(differences(of(apart, tree("a"))[1], of(apart, tree("b"))[1]), line).toEqual(["own", "chain"]);
    }
  });

  it("is there for a chain that no build could compile", () => {
    const steps = of(Image.debianSlim({ pythonVersion: "auto" }).runCommands("true"));
    expect(steps.map(({ id }) => id)).toEqual(["debianSlim", "runCommands"]);
    expect(steps.every(({ own, chain }) => own !== "" && chain !== "")).toBe(true);
  });

  it("tells large values by their digests", () => {
    const [, run] = of(base.runCommands("x".repeat(5000)));
    const [items] = run?.inputs.flatMap(({ items: list }) => (list === undefined ? [] : [list])) ?? [];
    expect(items).toEqual([sha256("x".repeat(5000))]);
    const many = Array.from({ length: 2000 }, (_, index) => `package${index}`);
    const [, pip] = of(base.pipInstall(many));
    const packages = pip?.inputs.find(({ name }) => name === "packages");
    expect([packages?.items, packages?.value]).toEqual([undefined, expect.stringMatching(/^sha256:/)]);
  });
});

describe("what looks like a secret", () => {
  const token = `ghp_${"a1B2".repeat(10)}`;

  it("is in no fingerprint, and still makes another one", () => {
    const image = (value: string) =>
      Image.fromRegistry("busybox", {
        secret: Secret.fromObject({ REGISTRY_USERNAME: "u", REGISTRY_PASSWORD: value }),
      })
        .env({ GITHUB_TOKEN: value })
        .runCommands(`curl -H 'Authorization: Bearer ${value}' https://me:${value}@example.com`, {
          env: { API_KEY: value },
          secrets: [Secret.fromObject({ TOKEN: value })],
        })
        .pipInstall("six", { indexUrl: `https://me:${value}@example.com/simple` })
        .dockerfileCommands(`ENV GITHUB_TOKEN=${value}`, { buildArgs: { NPM_TOKEN: value } })
        .copyFrom(Image.fromRegistry("busybox").runCommands(`echo ${value}`), "/out");
    const steps = of(image(token));
    const text = JSON.stringify(steps);
    expect(text).not.toContain(token);
    expect(text).not.toContain(token.slice(4, 24));
    const others = of(image(token.replaceAll("a1", "z9")));
    for (const index of [1, 2, 3, 4, 5])
      expect(steps[index]?.inputs, String(index)).not.toEqual(others[index]?.inputs);
    expect(steps[0]).toEqual(others[0]);
  });

  it("in a secret itself makes no other one", () => {
    const image = (value: string) =>
      base.runCommands("true", { secrets: [Secret.fromObject({ TOKEN: value })] });
    expect(of(image("one"))).toEqual(of(image("two")));
  });
});

describe("the first forced step", () => {
  it("is the first of the chain, a step with forceBuild, or one whose other image has such", () => {
    const forced = base.runCommands("true", { forceBuild: true });
    expect(forcedFrom(base.runCommands("true"), false)).toBeUndefined();
    expect(forcedFrom(base.runCommands("true"), true)).toBe(0);
    expect(forcedFrom(base.runCommands("one").runCommands("two", { forceBuild: true }), false)).toBe(2);
    expect(forcedFrom(base.copyFrom(forced, "/a"), false)).toBe(1);
  });
});

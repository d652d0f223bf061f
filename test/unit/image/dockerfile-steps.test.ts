import { describe, expect, it } from "vitest";
import { compile } from "../../../src/image/compile.js";
import { FilePatternMatcher } from "../../../src/image/file-pattern-matcher.js";
import { FrontendNeeded, type FrontendQuestion } from "../../../src/image/frontend-question.js";
import { Image } from "../../../src/image/image.js";
import { needsOf } from "../../../src/image/needs-of.js";
import { Secret } from "../../../src/image/secret.js";
import { decodeOp } from "../../../src/llb/decode-op.js";
import { fromDefinition } from "../../../src/llb/from-definition.js";
import { copy, type Definition, image as imageSource, local, marshal } from "../../../src/llb/index.js";
import { sourcesOf } from "../../../src/llb/rewrite-sources.js";
import type { Facts } from "../../../src/model/facts.js";
import type { Plan } from "../../../src/model/plan.js";
import type { ImageConfig } from "../../../src/oci/image-config.js";
import { digest, facts } from "./facts.js";

const base = Image.fromRegistry("debian");

function question(image: Image, given: Facts): FrontendQuestion {
  try {
    compile(image, given);
  } catch (error) {
    if (error instanceof FrontendNeeded) return error.question;
    throw error;
  }
  throw new Error("nothing was asked");
}

/** Compiles with the answer that `answer` makes of the question. */
function answered(
  image: Image,
  given: Facts,
  answer: (question: FrontendQuestion) => { definition?: Definition; config?: ImageConfig["config"] },
): Plan {
  const asked = question(image, given);
  const { definition, config } = answer(asked);
  const fact = { definition, config: { architecture: "amd64", os: "linux", config, history: [] } };
  return compile(image, { ...given, frontends: new Map([[asked.id, fact]]) });
}

function execs(plan: Plan) {
  return (plan.definition?.ops ?? []).flatMap(({ bytes }) => {
    const { op } = decodeOp(bytes);
    return op.case === "exec" ? [op.value] : [];
  });
}

function chainOf({ inputs }: FrontendQuestion) {
  const definition = inputs["kiln-base"];
  if (definition === undefined) throw new Error("no base");
  return fromDefinition(definition);
}

const command = {
  description: { "com.docker.dockerfile.v1.command": "RUN make", "llb.customname": "[1/1] RUN make" },
};

describe("arguments", () => {
  it.each([
    ["no path", () => Image.fromDockerfile(""), "ERR_KILN_INVALID_ARGUMENT", /path of a Dockerfile/],
    [
      "a directory",
      () => Image.fromDockerfile("docker/"),
      "ERR_KILN_INVALID_ARGUMENT",
      /path of a Dockerfile/,
    ],
    [
      "an empty target",
      () => Image.fromDockerfile("D", { target: " " }),
      "ERR_KILN_INVALID_ARGUMENT",
      /name of a stage/,
    ],
    [
      "a snake_case option",
      () => Image.fromDockerfile("D", { context_dir: "x" } as never),
      "ERR_KILN_UNKNOWN_OPTION",
      /context_dir/,
    ],
    [
      "an argument that is no string",
      () => Image.fromDockerfile("D", { buildArgs: { A: 1 as never } }),
      "ERR_KILN_INVALID_ARGUMENT",
      /A must be a string/,
    ],
    [
      "an empty context",
      () => base.dockerfileCommands(["RUN x"], { contextDir: "" }),
      "ERR_KILN_INVALID_ARGUMENT",
      /contextDir/,
    ],
    [
      "a pattern that is none",
      () => base.dockerfileCommands(["RUN x"], { ignore: ["!"] }),
      "ERR_KILN_INVALID_PATTERN",
      /matches nothing/,
    ],
    [
      "a stage with the chain's name",
      () => base.dockerfileCommands("RUN x\nFROM alpine as base\nRUN y"),
      "ERR_KILN_INVALID_ARGUMENT",
      /"base" is the chain/,
    ],
    ["a line with NUL", () => base.dockerfileCommands("RUN \0"), "ERR_KILN_INVALID_ARGUMENT", /NUL/],
    [
      "nested lists",
      () => base.dockerfileCommands([["RUN x"]] as never),
      "ERR_KILN_INVALID_ARGUMENT",
      /needs strings/,
    ],
    ...["..", "/", "a/../../b", "dir/"].map(
      (path) =>
        [
          `a file at ${path}`,
          () => base.dockerfileCommands(["RUN x"], { contextFiles: { [path]: "x" } }),
          "ERR_KILN_INVALID_ARGUMENT",
          /no path of a file in the context/,
        ] as const,
    ),
    [
      "a file that is no path",
      () => base.dockerfileCommands(["RUN x"], { contextFiles: { a: 1 as never } }),
      "ERR_KILN_INVALID_ARGUMENT",
      /must be a path/,
    ],
  ] as const)("refuse %s at the call", (_title, call, code, message) => {
    expect(call).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringMatching(message),
        location: expect.objectContaining({ file: expect.stringContaining("dockerfile-steps.test.ts") }),
      }),
    );
  });

  it("without a line make no step", () => {
    expect(base.dockerfileCommands()).toBe(base);
    expect(base.dockerfileCommands([])).toBe(base);
  });
});

describe("needs", () => {
  it("are the Dockerfile, a context, and ignore files in Docker's order", () => {
    const needs = needsOf(Image.fromDockerfile("docker/api.Dockerfile", { contextDir: "src" }));
    expect(needs.usesDockerfile).toBe(true);
    expect(needs.files.map(({ path, optional }) => [path, optional])).toEqual([
      ["docker/api.Dockerfile", false],
      ["docker/api.Dockerfile.dockerignore", true],
      ["docker/.dockerignore", true],
      ["src/.dockerignore", true],
    ]);
    expect(needs.trees).toMatchObject([
      { path: "src", ignore: [], ignoreFiles: ["0.ignore0", "0.ignore1", "0.ignore2"], mode: "own" },
    ]);
  });

  it("are no ignore files but the one that the option names", () => {
    const listed = needsOf(Image.fromDockerfile("D", { ignore: ["a", "!b"] }));
    expect(listed.files.map(({ path }) => path)).toEqual(["D"]);
    expect(listed.trees[0]).toMatchObject({ path: ".", ignore: ["a", "!b"], ignoreFiles: [] });
    const ignore = FilePatternMatcher.fromFile("own.ignore");
    const { files, trees } = needsOf(base.dockerfileCommands(["RUN x"], { ignore }));
    expect(files).toMatchObject([{ path: "own.ignore", optional: false }]);
    expect(trees[0]?.ignoreFiles).toEqual(["1.ignore0"]);
  });

  it("have further files of the context by their clean paths", () => {
    const contextFiles = { "/a//b": "x", "./c": "y" };
    const needs = needsOf(base.dockerfileCommands(["RUN x"], { contextFiles }));
    expect(needs.trees[0]?.files).toEqual({ "a/b": "x", c: "y" });
    expect(needsOf(base).usesDockerfile).toBe(false);
  });
});

describe("the question", () => {
  it("has the chain so far as base, with its config, and all options", () => {
    const image = base.env({ A: "1" }).dockerfileCommands(["RUN one", "RUN two"], { buildArgs: { X: "y" } });
    const given = facts({ User: "app" });
    const trees = new Map([["2.context", { name: "tree", sharedKeyHint: "key" }]]);
    const asked = question(image, { ...given, trees, sourceDateEpoch: 7 });
    expect(asked).toMatchObject({ id: "2.dockerfile.commands", text: "FROM base\nRUN one\nRUN two\n" });
    const { "input-metadata:kiln-base": metadata = "", ...options } = asked.options;
    expect(options).toEqual({
      filename: "Dockerfile",
      platform: "linux/amd64",
      "build-arg:SOURCE_DATE_EPOCH": "7",
      "build-arg:X": "y",
      "context:base": "input:kiln-base",
    });
    const config = Buffer.from(JSON.parse(metadata)["containerimage.config"], "base64").toString("utf8");
    expect(JSON.parse(config).config).toEqual({ User: "app", Env: ["A=1"] });
    expect(Object.keys(asked.inputs).sort()).toEqual(["dockerfile", "kiln-base"]);
  });

  it.each([
    ["docker/api.Dockerfile", "docker/api.Dockerfile"],
    ["./Dockerfile", "Dockerfile"],
    ["../up/D", "D"],
    ["/abs/olute/D", "D"],
  ])("calls the file %s in errors %s", (path, filename) => {
    const trees = new Map([["0.context", { name: "tree", sharedKeyHint: "key" }]]);
    const files = new Map([["0.dockerfile", Buffer.from("FROM x\n")]]);
    const asked = question(Image.fromDockerfile(path, { target: "t" }), { ...facts(), trees, files });
    expect(asked).toMatchObject({ text: "FROM x\n", options: { filename, target: "t" } });
  });
});

describe("the answer", () => {
  const trees = new Map([["1.context", { name: "tree", sharedKeyHint: "key" }]]);
  const given = (extra: Partial<Facts> = {}): Facts => facts({}, { trees, ...extra });

  it("gets the step's environment, secrets, device and certificates for its commands, not the chain's", () => {
    const image = base.dockerfileCommands(["RUN make"], {
      env: { E: "e" },
      secrets: [Secret.fromObject({ TOKEN: "x" })],
      gpu: "vendor.example/gpu=0",
    });
    const chain = Image.fromRegistry("debian").runCommands("before");
    const both = chain.step({ id: "again", version: 1, apply: () => image.steps[1] as never }, undefined);
    const more = given({
      trees: new Map([["2.context", { name: "tree", sharedKeyHint: "key" }]]),
      secrets: new Map([["2.options.secret.0", [{ env: "TOKEN", id: "kiln.object1.TOKEN" }]]]),
      caBundle: "kiln.ca",
    });
    const plan = answered(both, more, (asked) => ({
      definition: marshal(
        chainOf(asked)
          .run(["make"], {
            secrets: [
              { id: "TOKEN", target: "/run/secrets/TOKEN" },
              { id: "other", target: "/o" },
            ],
            ...command,
          })
          .root(),
      ),
      config: { Env: ["A=1"] },
    }));
    const [before, make] = execs(plan);
    expect(before?.meta?.env.some((entry) => entry.startsWith("E="))).toBe(false);
    expect(make?.meta?.env).toEqual(expect.arrayContaining(["E=e", "SSL_CERT_FILE=/run/kiln/ca.pem"]));
    expect(make?.secretenv.map(({ ID, name }) => [name, ID])).toEqual([["TOKEN", "kiln.object1.TOKEN"]]);
    expect(make?.mounts.flatMap(({ secretOpt }) => secretOpt?.ID ?? [])).toEqual([
      ...["kiln.object1.TOKEN", "other", "kiln.ca"],
    ]);
    expect(make?.cdiDevices.map(({ name }) => name)).toEqual(["vendor.example/gpu=0"]);
    expect(plan.config.config?.Env).toEqual(["A=1"]);
    const [, ran] = plan.commands;
    expect(ran?.[1]).toEqual({ step: 2, command: "RUN make" });
    expect(plan.steps[2]?.vertices).toContain(ran?.[0]);
    expect(plan.steps[1]?.vertices).not.toContain(ran?.[0]);
  });

  it("reads the context as addLocalDir does, parts of it under keys of their own", () => {
    const plan = answered(base.dockerfileCommands("COPY . /"), given(), () => ({
      definition: marshal(
        imageSource(`debian@${digest}`)
          .file(copy(local("context", { sessionId: "s", sharedKeyHint: "context" }), { src: "/", dest: "/" }))
          .file(
            copy(local("context", { sessionId: "s", sharedKeyHint: "context", followPaths: ["a"] }), {
              ...{ src: "/a", dest: "/" },
            }),
          ),
      ),
    }));
    const [, whole, part] = sourcesOf(plan.definition as Definition);
    const own = marshal(local("tree", { sharedKeyHint: "key", localUniqueId: "unique" }));
    expect(whole?.op.digest).toBe(own.head()?.digest);
    expect(part).toMatchObject({
      identifier: "local://tree",
      attrs: {
        "local.unique": "unique",
        "local.followpaths": '["a"]',
        "local.sharedkeyhint": expect.stringMatching(/^key-[0-9a-f]{12}$/),
      },
    });
    expect(part?.attrs).not.toHaveProperty("local.session");
  });

  it("is forced by its step: commands, and marks of those with caches", () => {
    const image = (forceBuild: boolean) => base.dockerfileCommands(["RUN x"], { forceBuild });
    const make = (asked: FrontendQuestion) => ({
      definition: marshal(
        chainOf(asked)
          .run(["plain"])
          .root()
          .run(["cached"], { mounts: [{ target: "/c", cache: { id: "c" } }] })
          .root(),
      ),
    });
    const plan = answered(image(true), given(), make);
    const ignored = plan.definition
      ?.vertices()
      .flatMap(({ digest: op, kind, name }) =>
        plan.definition?.metadata.get(op)?.ignoreCache === true ? [`${kind} ${name}`] : [],
      );
    expect(ignored).toEqual(["exec plain", "file mark cached"]);
    const digests = (one: Plan) => one.definition?.ops.map((op) => op.digest);
    expect(digests(answered(image(false), given(), make))).toEqual(digests(plan));
    const later = answered(image(true).runCommands("after"), given(), make);
    const last = later.definition?.vertices().at(-1);
    expect(later.definition?.metadata.get(last?.digest ?? "")?.ignoreCache).toBe(true);
  });

  it.each([
    [["mine"], ["mine"], ["mine"]],
    [undefined, ["mine"], ["mine"]],
    [undefined, ["inherited"], undefined],
  ])("keeps a command that chain or lines set (%j, %j) when an entrypoint follows", (set, answer, kept) => {
    const chain = set === undefined ? base : base.cmd(set);
    const image = chain.dockerfileCommands("CMD x").entrypoint(["e"]);
    const at = String(chain.steps.length);
    const more = facts(
      { Cmd: ["inherited"] },
      {
        trees: new Map([[`${at}.context`, { name: "tree", sharedKeyHint: "key" }]]),
      },
    );
    const plan = answered(image, more, (asked) => ({
      definition: asked.inputs["kiln-base"] as Definition,
      config: { Cmd: answer },
    }));
    expect(plan.config.config?.Cmd).toEqual(kept);
  });
});

describe("Modal's layers", () => {
  it("are the file's lines, and one more", () => {
    const readFile = (path: string) => (path === "D" ? "FROM x\n\nCOPY a b\n" : undefined);
    expect(Image.fromDockerfile("D", { contextDir: "ctx" }).toModalLayers({ readFile })).toEqual([
      { commands: ["FROM x", "", "COPY a b", ""], contextFiles: { "/**": "ctx" } },
      { commands: ["FROM base"], contextFiles: {} },
    ]);
    expect(() => Image.fromDockerfile("D").toModalLayers()).toThrow(
      expect.objectContaining({ code: "ERR_KILN_READER_NEEDED" }),
    );
    expect(() => Image.fromDockerfile("E").toModalLayers({ readFile })).toThrow(
      expect.objectContaining({ code: "ERR_KILN_FILE_NOT_FOUND" }),
    );
  });

  it("are the lines on the base", () => {
    const image = base.dockerfileCommands("RUN cat <<E\nx\nE", "COPY --from=x a b", {
      contextFiles: { c: "d" },
    });
    expect(image.toModalLayers()[1]).toEqual({
      commands: ["FROM base", "RUN cat <<E\nx\nE", "COPY --from=x a b"],
      contextFiles: { "/c": "d" },
    });
  });
});

describe("whether the context is looked through beforehand", () => {
  const unread = (...lines: string[]) =>
    needsOf(base.dockerfileCommands(...lines)).trees.map((tree) => tree.unread ?? false);

  it.each([
    ["RUN apk add curl"],
    ["ENV A=1"],
    ["COPY --from=tools /a /b"],
    ["COPY --chown=1:1 --from=tools /a /b"],
    ["RUN --mount=type=cache,target=/c make"],
    ["RUN --mount=from=tools,target=/c make"],
    ["RUN --mount=type=secret,id=a cat /run/secrets/a"],
  ])("not for %s", (line) => {
    expect(unread(line)).toEqual([true]);
  });

  it.each([
    ["COPY . ."],
    ["copy --chown=1:1 a b"],
    ["ADD a.tar /"],
    ["COPY a --from=b"],
    ["ONBUILD COPY a b"],
    ["RUN --mount=type=bind,target=/c make"],
    ["RUN --mount=target=/c make"],
    ["RUN true\nCOPY a b"],
  ])("for %s", (line) => {
    expect(unread(line)).toEqual([false]);
  });

  it("for files that are given", () => {
    const image = base.dockerfileCommands("RUN make", { contextFiles: { "/a": "a" } });
    expect(needsOf(image).trees.map((tree) => tree.unread ?? false)).toEqual([false]);
  });
});

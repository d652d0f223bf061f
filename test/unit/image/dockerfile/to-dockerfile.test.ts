import { describe, expect, it } from "vitest";
import type { ChainState } from "../../../../src/image/chain-state.js";
import { defineStep, type StepDefinition } from "../../../../src/image/define-step.js";
import type { ToDockerfileOptions } from "../../../../src/image/dockerfile/to-dockerfile.js";
import { Image } from "../../../../src/image/image.js";
import type { LowerContext } from "../../../../src/image/lower-context.js";
import { Secret } from "../../../../src/image/secret.js";

const base = Image.fromRegistry("debian:12");
const from = "FROM docker.io/library/debian:12";

/** A step of a third party's. */
function step(
  lower: (chain: ChainState, context: LowerContext) => ChainState,
  needs: StepDefinition<undefined, undefined>["needs"] = () => ({}),
) {
  return defineStep({
    id: "mine",
    version: 1,
    validate: () => undefined,
    title: () => "mine",
    needs,
    lower: (chain, _args, context) => lower(chain, context),
  });
}

const lines = (image: Image, options?: ToDockerfileOptions): readonly string[] =>
  image.toDockerfile(options).trimEnd().split("\n");

describe("a Dockerfile of a chain", () => {
  it("is one stage where it can be, with commands as they are", () => {
    const image = base
      .runCommands("echo hi", "make\nmake install")
      .env({ A: "$B c", C: "plain" })
      .workdir("/w")
      .user("app")
      .runCommands("id");
    expect(lines(image)).toEqual([
      ...[from, "RUN echo hi", "RUN <<'EOF'", "make", "make install", "EOF"],
      // biome-ignore lint/suspicious/noTemplateCurlyInString: Docker's syntax
      ...['ENV A="${B} c" C="plain"', "WORKDIR /w", "RUN id", "USER app"],
    ]);
  });

  it("runs commands as root where the base has another user, and sets that again", () => {
    const image = base.label({ a: "b" }).runCommands("one", "two");
    expect(lines(image, { baseUser: "mamba" })).toEqual([
      ...[from, 'LABEL a="b"', "USER 0", "RUN one", "RUN two", "USER mamba"],
    ]);
    expect(lines(image.user("root"), { baseUser: "mamba" }).at(-1)).toBe("USER root");
    expect(lines(base.workdir("/w"), { baseUser: "mamba" })).toEqual([
      ...[from, "USER 0", "WORKDIR /w", "USER mamba"],
    ]);
    expect(lines(image, { baseUser: "0" })).not.toContain("USER 0");
  });

  it("sets a step's variables and directory by the shell, and by another one where that is no POSIX shell", () => {
    const env = { A: "it's" };
    expect(lines(base.runCommands("x", { env }))).toEqual([
      ...[from, "RUN <<'EOF'", `export A='it'"'"'s'`, "x", "EOF"],
    ]);
    expect(lines(base.shell(["/opt/py", "-c"]).runCommands("x", { env })).at(-1)).toBe(
      `RUN ["/bin/sh","-c","export A='it'\\"'\\"'s'\\nexec \\"$@\\"","sh","/opt/py","-c","x"]`,
    );
    const dir = step((chain, context) => context.run(chain, { argv: ["a", "b c"], dir: "sub dir" }));
    expect(lines(base.step(dir, undefined)).at(-1)).toBe(
      `RUN ["/bin/sh","-c","mkdir -p 'sub dir' && cd 'sub dir' || exit 1\\nexec \\"$@\\"","sh","a","b c"]`,
    );
  });

  it("asks for secrets by their names, two of one name apart, and says how to give them", () => {
    const [one, two] = [
      Secret.fromObject({ T: "value-1" }),
      Secret.fromObject({ T: "value-2", U: "value-3" }),
    ];
    const image = base
      .runCommands("a", { secrets: [one] })
      .runCommands("b", { secrets: [two, Secret.fromEnv("V")] })
      .runCommands("c", { secrets: [one, Secret.fromName("n", { requiredKeys: ["N"] })] });
    const text = image.toDockerfile();
    const mount = (id: string, env = id): string => `--mount=type=secret,id=${id},env=${env},required=true`;
    expect(text.split("\n")).toEqual([
      `# Build it with: docker build ${["T", "T-2", "U", "V", "N"].map((id) => `--secret id=${id},env=${id}`).join(" ")} .`,
      "",
      from,
      `RUN ${mount("T")} a`,
      `RUN ${mount("T-2", "T")} ${mount("U")} ${mount("V")} b`,
      `RUN ${mount("T")} ${mount("N")} c`,
      "",
    ]);
    expect(text).not.toContain("value");
    const dotenv = base.runCommands("d", { secrets: [Secret.fromDotenv(".env")] });
    expect(lines(dotenv, { readFile: () => "B=x\nA='y'\n" }).at(-1)).toBe(
      `RUN ${mount("A")} ${mount("B")} d`,
    );
  });

  it("has a device where the frontend knows it", () => {
    const image = base.runCommands("x", { gpu: "vendor.example/gpu=0" });
    expect(lines(image, { syntax: "docker/dockerfile:1-labs" })).toEqual([
      ...["# syntax=docker/dockerfile:1-labs", "", from, "RUN --device=vendor.example/gpu=0 x"],
    ]);
  });

  it("names a layout's directory in the command that builds it", () => {
    const image = Image.fromOciLayout("./bases", { ref: "12" });
    expect(lines(image)).toEqual([
      "# Build it with: docker build --build-context kiln-base-1=oci-layout://./bases:12 .",
      ...["", "FROM kiln-base-1"],
    ]);
  });

  it("builds another chain once, however often it is used", () => {
    const tool = base.runCommands("make tool");
    const image = base.copyFrom(tool, "/a").copyFrom(tool, "/b", "/c d");
    expect(lines(image)).toEqual([
      ...[`${from} AS kiln-1`, "RUN make tool", ""],
      ...[from, "COPY --from=kiln-1 /a /a", 'COPY --from=kiln-1 ["/b","/c d"]'],
    ]);
  });

  it("keeps a command when an entrypoint follows in another stage", () => {
    const image = base.cmd(["c"]).dockerfileCommands("RUN x").entrypoint(["e"]).entrypoint(["f"]);
    expect(lines(image)).toEqual([
      ...[`${from} AS kiln-1`, 'CMD ["c"]', "", "FROM kiln-1", "RUN x"],
      ...['ENTRYPOINT ["e"]', 'CMD ["c"]', 'ENTRYPOINT ["f"]'],
    ]);
    const set = base.cmd(["c"]).dockerfileCommands("CMD own").dockerfileCommands("RUN x").entrypoint(["e"]);
    expect(lines(set).slice(-2)).toEqual(['ENTRYPOINT ["e"]', "CMD own"]);
    const dropped = base.cmd(["c"]).dockerfileCommands("ENTRYPOINT x").entrypoint(["e"]);
    expect(lines(dropped).at(-1)).toBe('ENTRYPOINT ["e"]');
  });

  it("takes a Dockerfile's own lines, other names where two are alike, and its arguments", () => {
    const text = [
      "# syntax=docker/dockerfile:1.9",
      "ARG V=1 W",
      "FROM --platform=linux/amd64 alpine:$V AS build",
      "ARG V",
      "FROM alpine",
      "COPY --chmod=700 --from=BUILD /a /a",
      "RUN --mount=target=/m,from=0 --network=none true",
      "COPY <<E /f",
      "COPY --from=build /x /x",
      "E",
      "",
    ].join("\n");
    const readFile = (): string => text;
    const one = Image.fromDockerfile("D", { buildArgs: { V: "a b" } });
    expect(lines(one, { readFile })).toEqual([
      ...["# syntax=docker/dockerfile:1.9", "", 'ARG V="a b"', "ARG W", ""],
      ...["FROM --platform=linux/amd64 alpine:$V AS build", 'ARG V="a b"', ""],
      ...["FROM alpine AS kiln-1", "COPY --chmod=700 --from=build /a /a"],
      ...["RUN --mount=target=/m,from=build --network=none true"],
      ...["COPY <<E /f", "COPY --from=build /x /x", "E"],
    ]);
    const two = one.copyFrom(Image.fromDockerfile("D", { target: "build", buildArgs: { V: "a b" } }), "/a");
    const stages = lines(two, { readFile }).filter((line) => line.startsWith("FROM"));
    expect(stages).toEqual([
      ...["FROM --platform=linux/amd64 alpine:$V AS build", "FROM alpine AS kiln-1"],
      ...["FROM --platform=linux/amd64 alpine:$V AS build-1", "FROM alpine AS kiln-2", "FROM kiln-1"],
    ]);
    expect(() => one.copyFrom(Image.fromDockerfile("D"), "/a").toDockerfile({ readFile })).toThrow(
      /two Dockerfiles of the chain have a global ARG V/,
    );
  });

  it("reads a context elsewhere through a stage of its own", () => {
    const readFile = (path: string): string | undefined =>
      path === "sub/.dockerignore" ? "# c\nout/\n!out/x y\n" : undefined;
    const image = Image.fromRegistry("debian:12").dockerfileCommands(
      [
        "COPY a b /c/",
        "COPY --chown=1:1 --from=other a /a",
        'COPY ["a b", "/d"]',
        "RUN --mount=type=cache,target=/x --mount=src=a,target=/y true",
        "COPY <<E /e\nE",
        "ADD https://h/f /f",
      ],
      { contextDir: "./sub", contextFiles: { "n/f": "top.txt" } },
    );
    expect(lines(image, { readFile })).toEqual([
      ...[`FROM scratch AS kiln-context-1`, 'COPY --chown=0:0 --exclude=out/ "--exclude=!out/x y" sub/ /'],
      ...["COPY --chown=0:0 top.txt /n/f", "", `${from} AS kiln-1`, "", "FROM kiln-1"],
      ...["COPY --from=kiln-context-1 a b /c/", "COPY --chown=1:1 --from=other a /a"],
      ...['COPY --from=kiln-context-1 ["a b", "/d"]'],
      ...["RUN --mount=type=cache,target=/x --mount=src=a,target=/y,from=kiln-context-1 true"],
      ...["COPY <<E /e", "E", "ADD https://h/f /f"],
    ]);
  });

  it("keeps a Dockerfile's user for its own lines alone", () => {
    const image = base.user("app").dockerfileCommands("RUN a", "USER $OTHER", "RUN b").runCommands("c");
    expect(lines(image)).toEqual([
      ...[`${from} AS kiln-1`, "USER app", "", "FROM kiln-1", "RUN a", "USER $OTHER", "RUN b"],
      ...["USER 0", "RUN c", "USER $OTHER"],
    ]);
  });

  it("lists files for steps that look for them, and reads what these name", () => {
    const workspace = step(
      (chain, context) =>
        context.run(chain, {
          argv: [...context.listing("members"), Buffer.from(context.file("x") ?? []).toString()],
        }),
      (_args, context) => ({
        listings: { members: { path: "ws", patterns: ["*/a"] } },
        files: Object.fromEntries((context.listing("members") ?? []).map((path) => ["x", { path }])),
      }),
    );
    const options: ToDockerfileOptions = {
      listFiles: (dir, patterns) => [`${dir}/${patterns[0]}`],
      readFile: (path) => `<${path}>`,
    };
    expect(lines(base.step(workspace, undefined), options).at(-1)).toBe('RUN ["ws/*/a","<ws/*/a>"]');
    expect(() => base.step(workspace, undefined).toDockerfile()).toThrow(
      expect.objectContaining({ code: "ERR_KILN_READER_NEEDED", hint: expect.stringContaining("listFiles") }),
    );
  });
});

describe("what no Dockerfile can hold", () => {
  const local = (path: string): Image => base.addLocalFile(path, "/x", { copy: true });
  const dockerfile = (text: string) => ({ readFile: (path: string) => (path === "D" ? text : undefined) });
  const rootfs = step(
    (_chain, context) => context.base("b"),
    () => ({ bases: { b: { kind: "rootfs", path: "x.tar" } } }),
  );
  const own = step((chain, context) => ({
    ...chain,
    state: chain.state.run(["x"], context.constraints("x")).root(),
  }));
  const unasked = step((chain) => ({ ...chain, state: chain.state.run(["x"]).root() }));
  const config = step((chain) => ({ ...chain, config: { ...chain.config, User: "x" } }));
  const binary = step((chain, context) =>
    context.run(chain, { argv: ["x"], files: [{ target: "/f", content: Uint8Array.of(0xff) }] }),
  );
  const target = step((chain, context) => context.run(chain, { argv: ["x"], tmpfs: ["/a b"] }));

  it.each([
    ["ops of a step's own", base.step(own, undefined), {}, /mine: the step mine adds ops of its own/],
    ["ops without asking", base.step(unasked, undefined), {}, /adds ops of its own/],
    ["a config of a step's own", base.step(config, undefined), {}, /changes the config by itself/],
    [
      "a base that has no name",
      Image.fromScratch().step(rootfs, undefined),
      {},
      /no FROM can name the base of mine/,
    ],
    ["binary files", base.step(binary, undefined), {}, /is no text/],
    ["odd targets of mounts", base.step(target, undefined), {}, /no mount can have "\/a b" as its target/],
    ["line breaks in ENV", base.env({ A: "a\nb" }), {}, /the value of A has a line break/],
    ["line breaks in LABEL", base.label({ A: "a\nb" }), {}, /the value of A has a line break/],
    ["a check of several lines", base.healthcheck("a\nb"), {}, /HEALTHCHECK/],
    ["a check that is a JSON list", base.healthcheck('["a"]'), {}, /HEALTHCHECK/],
    ["absolute local paths", local("/abs/x"), {}, /is absolute/],
    [
      "absolute local paths elsewhere",
      local("/abs/x"),
      { contextDir: "/other" },
      /outside the build context/,
    ],
    ["paths above", local("../x"), {}, /outside the build context/],
    ["paths that are patterns", local("a*"), {}, /reads as a pattern/],
    ["variables that no shell has", base.runCommands("x", { env: { "a-b": "1" } }), {}, /no shell can set/],
    ["devices", base.runCommands("x", { gpu: "v.x/g=0" }), {}, /RUN --device/],
    [
      "secrets of unknown names",
      base.runCommands("x", { secrets: [Secret.fromName("n")] }),
      {},
      /only a provider/,
    ],
    ["lines longer than 64 KiB", base.runCommands(`x ${"y".repeat(70_000)}`), {}, /more than 65535 bytes/],
    ["ONBUILD", Image.fromDockerfile("D"), dockerfile("FROM x\nONBUILD RUN y"), /ONBUILD/],
    [
      "another escape character",
      Image.fromDockerfile("D"),
      dockerfile("# escape=`\nFROM x"),
      /escape character/,
    ],
    ["a Dockerfile without FROM", Image.fromDockerfile("D"), dockerfile("RUN x"), /no FROM/],
    [
      "a target that is not there",
      Image.fromDockerfile("D", { target: "t" }),
      dockerfile("FROM x"),
      /no stage t/,
    ],
    [
      "ADD from elsewhere",
      Image.fromDockerfile("D", { contextDir: "sub" }),
      dockerfile("FROM x\nADD a b"),
      /ADD of local files/,
    ],
  ] as const)("is refused: %s", (_title, image, options, message) => {
    expect(() => image.toDockerfile(options)).toThrow(
      expect.objectContaining({
        code: "ERR_KILN_UNSUPPORTED",
        message: expect.stringMatching(message),
        hint: expect.stringMatching(/./),
      }),
    );
  });

  it("is refused with the step's place, and a reader is asked for where one is needed", () => {
    expect(() => base.step(own, undefined).toDockerfile()).toThrow(
      expect.objectContaining({
        location: expect.objectContaining({ file: expect.stringContaining("to-dockerfile.test.ts") }),
      }),
    );
    for (const image of [
      Image.fromDockerfile("D"),
      base.dockerfileCommands(["COPY a b"], { contextDir: "sub" }),
      base.runCommands("x", { secrets: [Secret.fromDotenv(".env")] }),
    ]) {
      expect(() => image.toDockerfile()).toThrow(
        expect.objectContaining({
          code: "ERR_KILN_READER_NEEDED",
          hint: expect.stringContaining("readFile"),
        }),
      );
    }
    expect(() => Image.fromDockerfile("D").toDockerfile({ readFile: () => undefined })).toThrow(
      expect.objectContaining({ code: "ERR_KILN_FILE_NOT_FOUND" }),
    );
    expect(() => base.toDockerfile({ base_user: "x" } as never)).toThrow(
      expect.objectContaining({ code: "ERR_KILN_UNKNOWN_OPTION", hint: 'Did you mean "baseUser"?' }),
    );
    expect(() => base.toDockerfile({ syntax: "a\nb" })).toThrow(/syntax must be a text/);
    expect(() => base.toDockerfile({ readFile: "x" as never })).toThrow(/readFile must be a function/);
  });
});

import { describe, expect, it } from "vitest";
import { KilnError } from "../../../src/errors.js";
import { compile } from "../../../src/image/compile.js";
import { defineStep } from "../../../src/image/define-step.js";
import { expandEnv } from "../../../src/image/expand-env.js";
import { FilePatternMatcher } from "../../../src/image/file-pattern-matcher.js";
import { Image } from "../../../src/image/image.js";
import { needsOf } from "../../../src/image/needs-of.js";
import { shellQuote } from "../../../src/image/shell-quote.js";
import { decodeOp } from "../../../src/llb/decode-op.js";
import type { Plan } from "../../../src/model/plan.js";
import { facts } from "./facts.js";

const base = Image.fromRegistry("debian");

function ops(plan: Plan) {
  return (plan.definition?.ops ?? []).map(({ bytes }) => decodeOp(bytes));
}

function execs(plan: Plan) {
  return ops(plan).flatMap(({ op }) => (op.case === "exec" ? [op.value] : []));
}

describe("config", () => {
  it.each([
    [
      "keeps the base's",
      base,
      { User: "app", Env: ["A=1"], WorkingDir: "/w", Cmd: ["x"] },
      { User: "app", Env: ["A=1"], WorkingDir: "/w", Cmd: ["x"] },
    ],
    [
      "expands variables of the base and of earlier steps",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax under test
      base.env({ B: "$A-2" }).env({ C: "${B}/${X:-d}" }),
      { Env: ["A=1"] },
      { Env: ["A=1", "B=1-2", "C=1-2/d"] },
    ],
    [
      "expands one call against the environment before it",
      base.env({ A: "new", B: "$A" }),
      { Env: ["A=old"] },
      { Env: ["A=new", "B=old"] },
    ],
    [
      "takes values as they are on request",
      base.env({ B: "$A" }, { expand: false }),
      { Env: ["A=1"] },
      { Env: ["A=1", "B=$A"] },
    ],
    [
      "joins relative working directories",
      base.workdir("a").workdir("../b/"),
      { WorkingDir: "/w" },
      { WorkingDir: "/w/b" },
    ],
    [
      "drops an inherited command with a new entrypoint",
      base.entrypoint(["e"]),
      { Cmd: ["x"] },
      { Entrypoint: ["e"] },
    ],
    [
      "keeps a command that the chain set",
      base.cmd(["mine"]).entrypoint(["e"]),
      { Cmd: ["x"] },
      { Entrypoint: ["e"], Cmd: ["mine"] },
    ],
    ["clears by an empty list", base.entrypoint([]).cmd([]), { Entrypoint: ["e"], Cmd: ["x"] }, {}],
    [
      "merges labels",
      base.label({ a: "2", b: "3" }),
      { Labels: { a: "1", z: "0" } },
      { Labels: { a: "2", b: "3", z: "0" } },
    ],
    ["changes the user for containers", base.user("1000:1000"), { User: "app" }, { User: "1000:1000" }],
    ["records the shell", base.shell(["/bin/bash", "-c"]), {}, { Shell: ["/bin/bash", "-c"] }],
  ] as const)("%s", (_title, image, from, expected) => {
    const plan = compile(image, facts(from));
    expect(plan.config.config).toEqual(expected);
    expect(plan.config["moby.unknown"]).toBe(1);
    expect(plan.config).not.toHaveProperty("rootfs");
  });

  it("makes no op for steps that change only the config, and says so in the history", () => {
    const image = base
      .env({ A: "1" })
      .workdir("/w")
      .user("u")
      .label({ l: "v" })
      .entrypoint(["e"])
      .cmd(["c"])
      .shell(["s"]);
    const plan = compile(image, facts());
    expect(ops(plan).map(({ op }) => op.case)).toEqual(["source", undefined]);
    expect(plan.config.history?.slice(1).every(({ empty_layer }) => empty_layer === true)).toBe(true);
    expect(plan.steps.slice(1).flatMap(({ vertices }) => vertices)).toEqual([]);
  });

  it("has one non-empty history entry for each op that makes a layer", () => {
    const image = base.runCommands("a", "b").addLocalDir("x", "/x", { copy: true }).aptInstall("git");
    const plan = compile(image, facts());
    const layers = plan.config.history
      ?.filter(({ empty_layer }) => empty_layer !== true)
      .map(({ created_by }) => created_by);
    expect(layers).toEqual([
      "base",
      "RUN a",
      "RUN b",
      "COPY directory /x",
      "RUN apt-get update && apt-get install -y -- git",
    ]);
  });
});

describe("commands", () => {
  it("run as root in the image's directory, with its environment and shell, whatever the base's user", () => {
    const image = base.env({ B: "2" }).workdir("/w").shell(["/bin/bash", "-ec"]).runCommands("echo hi");
    const [exec] = execs(compile(image, facts({ User: "app", Env: ["A=1"] })));
    expect(exec?.meta).toMatchObject({
      args: ["/bin/bash", "-ec", "echo hi"],
      cwd: "/w",
      user: "",
      env: ["A=1", "B=2"],
    });
  });

  it("see a step's own environment, which the image does not keep", () => {
    const plan = compile(base.runCommands("x", { env: { T: "1", N: null } }).runCommands("y"), facts());
    expect(execs(plan).map(({ meta }) => meta?.env)).toEqual([["T=1"], []]);
    expect(plan.config.config?.Env).toBeUndefined();
  });

  it("are named in the plan by step and text", () => {
    const plan = compile(base.runCommands("a", "b", { name: "twice" }), facts());
    expect([...plan.commands.values()]).toEqual([
      { step: 1, command: "a" },
      { step: 1, command: "b" },
    ]);
    expect(plan.steps[1]).toMatchObject({
      id: "runCommands",
      title: "twice",
      location: { file: import.meta.filename },
    });
    expect(plan.steps[1]?.vertices).toHaveLength(2);
  });

  it("install packages with lists and downloads in cache mounts", () => {
    const [exec] = execs(compile(base.aptInstall("git", "curl=7.*", "git", { recommends: false }), facts()));
    expect(exec?.meta?.args.at(-1)).toBe(
      "apt-get update && apt-get install -y --no-install-recommends -- git 'curl=7.*'",
    );
    expect(exec?.meta?.env).toContain("DEBIAN_FRONTEND=noninteractive");
    expect(exec?.mounts.map(({ dest, cacheOpt }) => [dest, cacheOpt?.ID ?? ""])).toEqual([
      ["/", ""],
      ["/etc/apt/apt.conf.d/docker-clean", ""],
      ["/run/kiln/mark", ""],
      ["/var/cache/apt", "kiln-apt-archives-linux/amd64"],
      ["/var/lib/apt/lists", "kiln-apt-lists-linux/amd64"],
    ]);
  });
});

describe("local files", () => {
  it("are needs of the chain, with patterns and ignore file", () => {
    const image = base.addLocalDir("src", "/s", {
      copy: true,
      ignore: FilePatternMatcher.fromFile(".dockerignore"),
      mode: "normalize",
    });
    expect(needsOf(image)).toMatchObject({
      trees: [
        {
          id: "1.source",
          kind: "dir",
          path: "src",
          ignore: [],
          ignoreFiles: ["1.ignore"],
          mode: "normalize",
        },
      ],
      files: [{ id: "1.ignore", path: ".dockerignore" }],
    });
  });

  it.each([
    ["one fixed time", base.addLocalDir("x", "/x", { copy: true }), undefined, 315_532_802_000_000_000n],
    ["the source date epoch", base.addLocalDir("x", "/x", { copy: true }), 7, 7_000_000_000n],
    ["their own times on request", base.addLocalDir("x", "/x", { copy: true, mtime: "keep" }), 7, -1n],
  ])("get %s", (_title, image, sourceDateEpoch, expected) => {
    const plan = compile(image, facts({}, { sourceDateEpoch }));
    const copies = ops(plan).flatMap(({ op }) => (op.case === "file" ? op.value.actions : []));
    expect(copies.map(({ action }) => (action.case === "copy" ? action.value.timestamp : undefined))).toEqual(
      [expected],
    );
  });

  it("go under their own name when the target ends in a slash", () => {
    const plan = compile(base.addLocalFile("dir/a.txt", "/etc/", { copy: true }), facts());
    const [copy] = ops(plan).flatMap(({ op }) => (op.case === "file" ? op.value.actions : []));
    expect(copy?.action).toMatchObject({ case: "copy", value: { src: "/file", dest: "/etc/a.txt" } });
  });
});

it("gives the same bytes for the same chain and facts", () => {
  const image = base.runCommands("a").addLocalDir("x", "/x", { copy: true });
  const digests = (plan: Plan) => plan.definition?.ops.map((op) => op.digest);
  expect(digests(compile(image, facts()))).toEqual(digests(compile(image, facts())));
});

it("compiles nothing but a config from scratch", () => {
  const plan = compile(Image.fromScratch().label({ a: "b" }), facts());
  expect(plan.definition).toBeUndefined();
  expect(plan.config).toMatchObject({ os: "linux", architecture: "amd64", config: { Labels: { a: "b" } } });
});

it("takes steps of others like its own", () => {
  const touch = defineStep({
    id: "touch",
    version: 1,
    validate: (path: string) => path,
    title: (path) => `touch ${path}`,
    lower: (chain, path, context) =>
      context.run(chain, { argv: ["touch", path], command: `touch ${path}`, title: `touch ${path}` }),
  });
  const plan = compile(base.step(touch, "/a"), facts());
  expect(plan.steps[1]).toMatchObject({
    id: "touch",
    title: "touch /a",
    location: { file: import.meta.filename },
  });
  expect(execs(plan)[0]?.meta?.args).toEqual(["touch", "/a"]);
});

it("gives an error that a step finds during a build the place of its call", () => {
  const picky = defineStep({
    id: "picky",
    version: 1,
    validate: (when: string) => when,
    title: (when) => `picky ${when}`,
    needs: (when) => {
      if (when === "needs")
        throw new KilnError("ERR_KILN_UNSUPPORTED", "not this file", { hint: "Another." });
      return {};
    },
    lower: () => {
      throw new KilnError("ERR_KILN_UNSUPPORTED", "not this platform", { hint: "Another." });
    },
  });
  for (const [build, message] of [
    [() => needsOf(base.step(picky, "needs")), "not this file"],
    [() => compile(base.step(picky, "lower"), facts()), "not this platform"],
  ] as const) {
    expect(build).toThrow(
      expect.objectContaining({
        code: "ERR_KILN_UNSUPPORTED",
        message,
        hint: "Another.",
        location: expect.objectContaining({ file: import.meta.filename }),
      }),
    );
  }
});

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: they are the syntax under test
it.each([
  ["$A", "1"],
  ["${A}b", "1b"],
  ["$AB", ""],
  ["\\$A", "$A"],
  ["$", "$"],
  ["a$ b", "a$ b"],
  ["${A", "${A"],
  ["${X:-${A}x}", "1x"],
  ["${A:+yes}${X:+no}", "yes"],
  ["$1", "$1"],
  ["/x:$PATH", "/x:/bin"],
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: they are the syntax under test
])("expands %s to %s", (value, expected) => {
  expect(
    expandEnv(
      value,
      new Map([
        ["A", "1"],
        ["PATH", "/bin"],
      ]),
    ),
  ).toBe(expected);
});

it.each([
  ["plain", "plain"],
  ["", "''"],
  ["a b", "'a b'"],
  ["it's", `'it'"'"'s'`],
  ["$x", "'$x'"],
])("quotes %j as %s", (word, expected) => {
  expect(shellQuote(word)).toBe(expected);
});

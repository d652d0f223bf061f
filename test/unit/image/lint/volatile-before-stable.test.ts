import { describe, expect, it } from "vitest";
import { compile } from "../../../../src/image/compile.js";
import type { Image } from "../../../../src/image/image.js";
import type { LintOptions } from "../../../../src/image/lint/lint.js";
import { facts } from "../facts.js";
import { base, found, installing, lines, sayingOf } from "./chains.js";

const rule = "volatile-before-stable";
const copy = { copy: true } as const;
const pip = (image: Image): Image => installing(image, "pip", "torch==2.4.1");

it("says how many steps run again, which need not, and what order saves them", () => {
  const image = base
    .addLocalDir("./app", "/app", copy)
    .aptInstall("git")
    .pipe(pip)
    .runCommands("python -m compileall /app");
  const [finding, ...more] = found(image, rule);
  expect(more).toEqual([]);
  expect(finding).toMatchObject({
    severity: "warning",
    step: 1,
    id: "addLocalDir",
    title: "addLocalDir ./app → /app",
    location: { file: import.meta.filename },
    message:
      'each change of these files runs 3 later steps again, of which 2 steps do not use them: "aptInstall git", "acme.say torch==2.4.1"',
    hint: 'Put it after "acme.say torch==2.4.1".',
  });
});

it("moves the files behind what does not use them, and changes nothing else", () => {
  const image = base
    .addLocalDir("./app", "/app", copy)
    .aptInstall("git")
    .workdir("/app")
    .runCommands("make")
    .env({ A: "1" });
  const fixed = found(image, rule)[0]?.fix?.();
  expect(fixed?.steps.map(({ id }) => id)).toEqual([
    ...["fromRegistry", "aptInstall", "addLocalDir", "workdir", "runCommands", "env"],
  ]);
  expect(fixed?.steps[2]).toBe(image.steps[1]);
  expect(fixed?.lint().filter((finding) => finding.rule === rule)).toEqual([]);
  const [before, after] = [image, fixed ?? base].map((each) => compile(each, facts()).config.config);
  expect(after).toEqual(before);
});

it("says what the order costs, by a build of the same chain", () => {
  const image = base.addLocalDir("./app", "/app", copy).aptInstall("git").pipe(pip);
  const record = (outcomes: readonly ("ran" | "cached")[], title = ""): LintOptions => ({
    record: {
      steps: image.steps.map((step, index) => ({
        index,
        id: step.id,
        title: `${step.title}${title}`,
        outcome: outcomes[index] ?? "ran",
        durationMs: index * 13_700,
      })),
    },
  });
  const cost = (options: LintOptions) => /; .*$/.exec(found(image, rule, options)[0]?.message ?? "")?.[0];
  expect(cost(record([]))).toBe("; that costs 69 s each time, as measured");
  expect(cost(record(["ran", "ran", "ran", "cached"]))).toBe(
    "; that costs at least 27 s each time, as measured",
  );
  expect(cost(record(["cached", "cached", "cached", "cached"]))).toBeUndefined();
  expect(cost(record([], "of another chain"))).toBeUndefined();
});

it("names commands that do not seem to use the files in the hint, and moves nothing over them", () => {
  const image = base
    .addLocalDir("./app", "/app", copy)
    .aptInstall("git")
    .runCommands("git clone https://example.com/x")
    .pipe(pip);
  const [finding] = found(image, rule);
  expect(finding?.message).toContain("3 later steps again, which do not seem to use them");
  expect(finding?.hint).toBe(
    'Put it after "acme.say torch==2.4.1", if the commands before that do not read the files.',
  );
  expect(finding?.fix?.().steps.map(({ id }) => id)).toEqual([
    ...["fromRegistry", "aptInstall", "addLocalDir", "runCommands", "acme.say"],
  ]);
  const alone = base.addLocalDir("./app", "/app", copy).runCommands("git clone https://example.com/x");
  expect(found(alone, rule)[0]).not.toHaveProperty("fix");
  expect(lines(found(alone, rule))).toEqual([
    'warning 1: each change of these files runs 1 later step again, which does not seem to use them: "runCommands git clone https://example.com/x"',
  ]);
});

it("takes an image whose files change for one that changes", () => {
  const other = base.addLocalDir("./web", "/web", copy);
  const image = base.copyFrom(other, "/web").aptInstall("git");
  expect(lines(found(image, rule))).toEqual([
    'warning 1: each change of these files runs 1 later step again, which does not use them: "aptInstall git"',
  ]);
  expect(
    found(image, rule)[0]
      ?.fix?.()
      .steps.map(({ id }) => id),
  ).toEqual([...["fromRegistry", "aptInstall", "copyFrom"]]);
});

it("looks into images that files are copied of, and mends nothing there", () => {
  const image = base.copyFrom(base.addLocalFile("a", "/a", copy).aptInstall("git"), "/b");
  expect(found(image, rule)).toMatchObject([{ step: 1, id: "addLocalFile" }]);
  expect(found(image, rule)[0]).not.toHaveProperty("fix");
});

describe("says nothing when", () => {
  it.each([
    ["the files come last", base.aptInstall("git").addLocalDir("a", "/a", copy).env({ A: "1" })],
    ["a command names them", base.addLocalDir("a", "/srv/a", copy).runCommands("make -C /srv/a/src")],
    ["a command names a directory above", base.addLocalDir("a", "/srv/a", copy).runCommands("du /srv")],
    ["a command runs among them", base.addLocalDir("a", "/a", copy).workdir("/a").runCommands("npm ci")],
    [
      "a command runs below them",
      base.workdir("/a").addLocalDir("a", "/a", copy).workdir("b").runCommands("x"),
    ],
    ["a command looks around", base.addLocalDir("a", "/a", copy).workdir("/").runCommands("ls ./a")],
    ["a variable names them", base.addLocalDir("a", "/a", copy).env({ P: "x:/a/b" }).pipe(pip)],
    [
      "the step's own variable does",
      base.addLocalDir("a", "/a", copy).runCommands("x", { env: { P: "/a" } }),
    ],
    ["they are settings of installers", base.addLocalFile("a", "/etc/pip.conf", copy).pipe(pip)],
    ["they are root's settings", base.addLocalFile("a", "/root/.npmrc", copy).pipe(pip)],
    ["they are everywhere", base.addLocalDir("a", "/", copy).aptInstall("git")],
    ["they are programs", base.addLocalDir("a", "/usr/local/bin", copy).aptInstall("git")],
    [
      "a later copy overlaps, and nothing else follows",
      base.addLocalDir("a", "/a", copy).addLocalDir("b", "/a/b", copy),
    ],
    [
      "an install names them",
      base.addLocalDir("a", "/w", copy).pipe((image) => installing(image, "pip", "/w/a.whl")),
    ],
    [
      "npm works among them",
      base
        .addLocalDir("a", "/a", copy)
        .workdir("/a")
        .pipe((image) => installing(image, "npm", "a@1.0.0")),
    ],
    ["only configuration follows", base.addLocalDir("a", "/a", copy).env({ A: "1" }).cmd(["x"])],
  ])("%s", (_title, image) => {
    expect(found(image, rule)).toEqual([]);
  });
});

describe("moves no files", () => {
  it.each([
    ["over a step that nothing is known of", base.addLocalDir("a", "/a", copy).step(sayingOf, {})],
    ["that may be anywhere", base.step(sayingOf, { changes: "local" }).aptInstall("git")],
    [
      "over npm in an unknown directory",
      base.addLocalDir("a", "/a", copy).pipe((image) => installing(image, "npm", "a@1.0.0")),
    ],
  ])("%s", (_title, image) => {
    expect(found(image, rule)).toHaveLength(1);
    expect(found(image, rule)[0]).not.toHaveProperty("fix");
  });

  it("over files that overlap with them, whose order counts", () => {
    const image = base.addLocalDir("a", "/a", copy).addLocalDir("b", "/a/b", copy).aptInstall("git");
    expect(lines(found(image, rule))).toHaveLength(1);
    const once = found(image, rule)[0]?.fix?.() ?? base;
    const twice = found(once, rule)[0]?.fix?.() ?? base;
    expect(twice.steps.map(({ title }) => title)).toEqual([
      base.steps[0]?.title,
      "aptInstall git",
      "addLocalDir a → /a",
      "addLocalDir b → /a/b",
    ]);
    expect(found(twice, rule)).toEqual([]);
  });
});

import { expect, it } from "vitest";
import { Image } from "../../../../src/image/image.js";
import type { LintOptions } from "../../../../src/image/lint/lint.js";
import { base } from "./chains.js";

const doubtful = Image.fromRegistry("debian")
  .env({ A_TOKEN: "hunter2" })
  .aptInstall("git")
  .runCommands("cd /a");

it("finds by step, each with rule, weight, place and what to do", () => {
  expect(doubtful.lint().map(({ rule, severity, step, id }) => [rule, severity, step, id])).toEqual([
    ["unpinned-base", "warning", 0, "fromRegistry"],
    ["secret-in-recipe", "error", 1, "env"],
    ["unpinned-package", "info", 2, "aptInstall"],
    ["cd-has-no-effect", "warning", 3, "runCommands"],
  ]);
  for (const finding of doubtful.lint()) {
    expect(finding.location?.file).toBe(import.meta.filename);
    expect(finding.hint).not.toBe("");
  }
});

it("finds nothing in a chain that has nothing", () => {
  const image = base
    .aptInstall("git=1:2.39.*")
    .env({ PORT: "80", PATH: "/app/bin:$PATH" })
    .workdir("/app")
    .addLocalDir("app", "/app", { copy: true })
    .runCommands("make")
    .cmd(["app"]);
  expect(image.lint()).toEqual([]);
});

it("switches rules off and lets them weigh otherwise", () => {
  const rules = {
    "unpinned-base": "off",
    "cd-has-no-effect": "error",
    "unpinned-package": undefined,
  } as const;
  expect(doubtful.lint({ rules }).map(({ rule, severity }) => [rule, severity])).toEqual([
    ["secret-in-recipe", "error"],
    ["unpinned-package", "info"],
    ["cd-has-no-effect", "error"],
  ]);
});

it("leaves the chain as it is", () => {
  const before = doubtful.toSnapshot();
  doubtful.lint();
  expect(doubtful.toSnapshot()).toBe(before);
});

it.each<readonly [string, LintOptions, string, string]>([
  ["an unknown option", { rule: {} } as never, "ERR_KILN_UNKNOWN_OPTION", 'Did you mean "rules"?'],
  [
    "an unknown rule",
    { rules: { unpinned_base: "off" } as never },
    "ERR_KILN_UNKNOWN_OPTION",
    'Did you mean "unpinned-base"?',
  ],
  [
    "an unknown severity",
    { rules: { "unpinned-base": "on" as never } },
    "ERR_KILN_INVALID_ARGUMENT",
    '"off"',
  ],
  ["no record", { record: {} as never }, "ERR_KILN_INVALID_ARGUMENT", "engine.build"],
  ["no lock", { lock: "kiln.lock" as never }, "ERR_KILN_INVALID_ARGUMENT", "readSourceLock"],
  ["half a layer", { baseLayers: 0.5 }, "ERR_KILN_INVALID_ARGUMENT", ""],
  ["an unknown builder", { builderVersion: "1999" }, "ERR_KILN_INVALID_ARGUMENT", "There are"],
])("refuses %s", (_title, options, code, hint) => {
  try {
    doubtful.lint(options);
  } catch (error) {
    expect(error).toMatchObject({ code });
    if (hint !== "") expect(error).toMatchObject({ hint: expect.stringContaining(hint) });
    return;
  }
  throw new Error("nothing was refused");
});

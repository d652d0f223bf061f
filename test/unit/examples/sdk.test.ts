import { compile, type KilnError, needsOf } from "kiln-engine";
import { describe, expect, it } from "vitest";
import { AcmeImage, type ToolOptions } from "../../../examples/sdk/acme-images.js";
import recipe from "../../../examples/sdk/image.js";
import { facts } from "../image/facts.js";

const start = (): AcmeImage => AcmeImage.start("debian");
const script = new TextEncoder().encode("#!/bin/sh\n");
const known = () => facts({}, { files: new Map([["1.script", script]]) });

/** Line of the statement that calls this. */
function here(): number {
  return Number(/sdk\.test\.ts:(\d+)/.exec(new Error("here").stack?.split("\n")[2] ?? "")?.[1]);
}

describe("a step of somebody else's", () => {
  it("is in the plan with its title, its command and the place where the SDK was called", () => {
    const line = here();
    const { image } = start().tool("greet", { script: "greet.sh" });
    const plan = compile(image, known());
    expect(plan.steps[1]).toMatchObject({
      id: "acme.installTool",
      title: "acme.installTool greet",
      location: { file: import.meta.filename, line: line + 1 },
      vertices: [expect.any(String), expect.any(String)],
    });
    expect([...plan.commands.values()]).toEqual([{ step: 1, command: "greet --version" }]);
    expect(plan.toSnapshot()).toContain("greet --version");
  });

  it("needs its file, and says so with that place", () => {
    const { image } = start().tool("greet", { script: "tools/greet.sh" });
    expect(needsOf(image).files).toMatchObject([
      { path: "tools/greet.sh", title: "acme.installTool greet", location: { file: import.meta.filename } },
    ]);
  });

  it("takes the options of built-in steps", () => {
    const { image } = start().tool("greet", { script: "a", name: "our tool", env: { A: "1" }, timeoutMs: 5 });
    const plan = compile(image, known());
    expect(plan.steps[1]).toMatchObject({ title: "our tool", timeoutMs: 5 });
    expect(plan.toSnapshot()).toContain("env A=1");
  });

  it("is in snapshots and in lint", () => {
    const { image } = start().tool("greet", { script: "greet.sh", check: "greet --token hunter2" });
    expect(image.toSnapshot()).toContain(
      'acme.installTool v1\n  check: "greet --token hunter2"\n  name: "greet"\n',
    );
    expect(image.lint({ rules: { "unpinned-base": "off" } })).toMatchObject([
      { rule: "secret-in-recipe", step: 1, id: "acme.installTool", location: { file: import.meta.filename } },
    ]);
  });

  it("has its layers at Modal", () => {
    const { image } = start().tool("greet", { script: "greet.sh" });
    expect(image.toModalLayers()[1]).toEqual({
      commands: [
        "FROM base",
        "COPY /greet /usr/local/bin/greet",
        "RUN chmod 0755 /usr/local/bin/greet && sh -c 'greet --version'",
      ],
      contextFiles: { "/greet": "greet.sh" },
    });
  });

  it.each<readonly [string, string, ToolOptions, string, string]>([
    ["a wrong name", "Greet", { script: "a" }, "ERR_KILN_INVALID_ARGUMENT", "Small letters"],
    ["no script", "greet", {} as never, "ERR_KILN_INVALID_ARGUMENT", 'script: "greet.sh"'],
    [
      "an option that it does not have",
      "greet",
      { script: "a", chek: "x" } as never,
      "ERR_KILN_UNKNOWN_OPTION",
      '"check"',
    ],
    [
      "a wrong common option",
      "greet",
      { script: "a", timeoutMs: 0 },
      "ERR_KILN_INVALID_ARGUMENT",
      "timeoutMs",
    ],
  ])("refuses %s at the call of the SDK's user", (_title, name, options, code, hint) => {
    const before = start();
    const line = here();
    const call = (): unknown => before.tool(name, options);
    let error: KilnError | undefined;
    try {
      call();
    } catch (reason) {
      error = reason as KilnError;
    }
    expect(error).toMatchObject({ code, location: { file: import.meta.filename, line: line + 1 } });
    expect(error?.hint).toContain(hint);
  });
});

it("gives the steps that the SDK adds by built-in methods the same place", () => {
  const line = here();
  const { image } = start().service(["greet"], { port: 80 });
  expect(image.steps.map(({ id, location }) => [id, location?.line])).toEqual([
    ["fromRegistry", expect.any(Number)],
    ["env", line + 1],
    ["expose", line + 1],
    ["entrypoint", line + 1],
  ]);
});

it("makes the example's image", () => {
  expect(recipe.steps.map(({ id }) => id)).toEqual([
    ...["fromRegistry", "acme.installTool", "env", "expose", "entrypoint"],
  ]);
  expect(recipe.steps[1]?.location?.file).toMatch(/examples\/sdk\/image\.ts$/);
});

import { expect, it } from "vitest";
import { KilnError } from "../../../src/errors.js";
import { Image } from "../../../src/image/image.js";

function thrown(call: () => unknown): KilnError {
  try {
    call();
  } catch (error) {
    if (error instanceof KilnError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const base = Image.fromRegistry("debian");
const wrong = (call: () => unknown) => call;

it.each([
  [
    "a reference with a scheme",
    wrong(() => Image.fromRegistry("https://ghcr.io/a/b")),
    "ERR_KILN_INVALID_REFERENCE",
    "Leave out the scheme",
  ],
  [
    "a reference in capitals",
    wrong(() => Image.fromRegistry("docker.io/Debian")),
    "ERR_KILN_INVALID_REFERENCE",
    "Did you mean docker.io/debian?",
  ],
  [
    "a relative remote path",
    wrong(() => base.addLocalDir("src", "app", { copy: true })),
    "ERR_KILN_RELATIVE_PATH",
    'Did you mean "/app"?',
  ],
  [
    "a relative remote path of a file",
    wrong(() => base.addLocalFile("src", "./app", { copy: true })),
    "ERR_KILN_RELATIVE_PATH",
    'Did you mean "/app"?',
  ],
  [
    "no copy",
    wrong(() => base.addLocalDir("src", "/app", {} as never)),
    "ERR_KILN_COPY_REQUIRED",
    "copy: true",
  ],
  [
    "no options for a local file",
    wrong(() => base.addLocalFile("src", "/app", undefined as never)),
    "ERR_KILN_COPY_REQUIRED",
    "copy: true",
  ],
  [
    "copy: false",
    wrong(() => base.addLocalDir("src", "/app", { copy: false as true })),
    "ERR_KILN_COPY_REQUIRED",
    "copy: true",
  ],
  [
    "a snake_case option",
    wrong(() => base.addLocalDir("s", "/a", { copy: true, m_time: "keep" } as never)),
    "ERR_KILN_UNKNOWN_OPTION",
    'Did you mean "mtime"?',
  ],
  [
    "an unknown option of a step",
    wrong(() => base.runCommands("true", { nme: "x" } as never)),
    "ERR_KILN_UNKNOWN_OPTION",
    'Did you mean "name"?',
  ],
  [
    "a lone exclamation mark",
    wrong(() => base.addLocalDir("s", "/a", { copy: true, ignore: ["!"] })),
    "ERR_KILN_INVALID_PATTERN",
    "leave out",
  ],
  [
    "a flag as a package",
    wrong(() => base.aptInstall("-y")),
    "ERR_KILN_INVALID_ARGUMENT",
    "Only package names",
  ],
  [
    "two packages in one string",
    wrong(() => base.aptInstall("git curl")),
    "ERR_KILN_INVALID_ARGUMENT",
    "One string a package",
  ],
  [
    "a number as a command",
    wrong(() => base.runCommands(3 as never)),
    "ERR_KILN_INVALID_ARGUMENT",
    "Write runCommands",
  ],
  ["an empty command", wrong(() => base.runCommands("  ")), "ERR_KILN_INVALID_ARGUMENT", undefined],
  [
    "a number as a value",
    wrong(() => base.env({ PORT: 80 as never })),
    "ERR_KILN_INVALID_ARGUMENT",
    'Write PORT: "80"',
  ],
  [
    "a name with an equals sign",
    wrong(() => base.env({ "A=B": "c" })),
    "ERR_KILN_INVALID_ARGUMENT",
    undefined,
  ],
  [
    "an entrypoint that is a string",
    wrong(() => base.entrypoint("run" as never)),
    "ERR_KILN_INVALID_ARGUMENT",
    "Write entrypoint(",
  ],
  ["an empty shell", wrong(() => base.shell([])), "ERR_KILN_INVALID_ARGUMENT", "/bin/sh"],
  ["a user with a blank", wrong(() => base.user("a b")), "ERR_KILN_INVALID_ARGUMENT", 'user("1000:1000")'],
  [
    "a pipe that returns nothing",
    wrong(() => base.pipe(() => undefined as never)),
    "ERR_KILN_INVALID_ARGUMENT",
    undefined,
  ],
])("refuses %s at the call, with the caller's place", (_title, call, code, hint) => {
  const error = thrown(call);
  expect(error.code).toBe(code);
  if (hint !== undefined) expect(error.hint).toContain(hint);
  expect(error.location?.file).toBe(import.meta.filename);
});

it("names the line of the wrong call", () => {
  const here = Number(/image\.test\.ts:(\d+)/.exec(new Error("here").stack ?? "")?.[1]);
  const error = thrown(() => base.workdir(""));
  expect(error.location?.line).toBe(here + 1);
});

it("never changes: every method returns another image", () => {
  const one = base.runCommands("a");
  const two = one.runCommands("b");
  expect(base.steps).toHaveLength(1);
  expect(one.steps.map(({ id }) => id)).toEqual(["fromRegistry", "runCommands"]);
  expect(two.steps).toHaveLength(3);
  expect(() => (one.steps as unknown[]).push(1)).toThrow(TypeError);
});

it("adds no step for an empty list of packages or commands", () => {
  expect(base.aptInstall()).toBe(base);
  expect(base.aptInstall([])).toBe(base);
  expect(base.runCommands([], { name: "nothing" })).toBe(base);
});

it("is recognised across two copies of the package", () => {
  expect(Image.isImage(base)).toBe(true);
  expect(Image.isImage({ [Symbol.for("kiln-engine.image")]: true })).toBe(true);
  expect(Image.isImage({})).toBe(false);
});

it("does not compile when it is wrong", () => {
  // @ts-expect-error copy: true is missing
  expect(() => base.addLocalDir("a", "/b", {})).toThrow();
  // @ts-expect-error no such option
  expect(() => base.runCommands("true", { force_build: true })).toThrow();
  // @ts-expect-error not a string
  expect(() => base.env({ A: 1 })).toThrow();
});

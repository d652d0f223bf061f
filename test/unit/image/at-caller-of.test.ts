import { expect, it } from "vitest";
import { KilnError } from "../../../src/errors.js";
import { atCallerOf } from "../../../src/image/at-caller-of.js";
import { Image } from "../../../src/image/image.js";

const base = Image.fromRegistry("debian");

function withGit(image: Image, directory = "/app"): Image {
  return atCallerOf(withGit, () => image.aptInstall("git").workdir(directory));
}

function withAll(image: Image, directory?: string): Image {
  return atCallerOf(withAll, () => {
    const next = withGit(image, directory);
    return next.env({ A: "1" });
  });
}

/** Line of the statement that calls this. */
function here(): number {
  return Number(/at-caller-of\.test\.ts:(\d+)/.exec(new Error("here").stack?.split("\n")[2] ?? "")?.[1]);
}

it("gives all steps the place where the function was called", () => {
  const line = here();
  const image = withGit(base);
  expect(image.steps.slice(1).map(({ location }) => location?.line)).toEqual([line + 1, line + 1]);
  expect(image.steps[1]?.location?.file).toBe(import.meta.filename);
});

it("takes the outermost of several", () => {
  const line = here();
  const image = withAll(base);
  expect(image.steps.slice(1).map((step) => step.location?.line)).toEqual(Array(3).fill(line + 1));
});

it("works in a pipe", () => {
  const line = here();
  const image = base.pipe(withGit);
  expect(image.steps[1]?.location?.line).toBe(line + 1);
});

it("gives errors that place too, and no longer once it is over", () => {
  const line = here();
  const wrong = (): unknown => withAll(base, "");
  expect(wrong).toThrow(expect.objectContaining({ location: expect.objectContaining({ line: line + 1 }) }));
  const later = here();
  const image = base.aptInstall("curl");
  expect(image.steps[1]?.location?.line).toBe(later + 1);
});

it("finds places as always when the function is not being called", () => {
  const line = here();
  const image = atCallerOf(withGit, () => base.aptInstall("git"));
  expect(image.steps[1]?.location?.line).toBe(line + 1);
});

it.each([
  ["a promise", () => atCallerOf(withGit, () => Promise.resolve(base)), "Await what you need first"],
  ["no function", () => atCallerOf(withGit, base as never), "needs two functions"],
  ["no callee", () => atCallerOf("withGit" as never, () => base), "needs two functions"],
])("refuses %s", (_title, call, why) => {
  let error: unknown;
  try {
    call();
  } catch (reason) {
    error = reason;
  }
  expect(error).toBeInstanceOf(KilnError);
  expect(`${(error as KilnError).message} ${(error as KilnError).hint}`).toContain(why);
});

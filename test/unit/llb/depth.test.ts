import { expect, test } from "vitest";
import {
  copy,
  decodeDefinition,
  definitionFromJson,
  definitionToJson,
  diff,
  type FileAction,
  fromDefinition,
  image,
  marshal,
  merge,
  mkdir,
  type State,
  scratch,
  toDot,
  toText,
} from "../../../src/llb/index.js";
import { inSoak } from "../internal/long-runs.js";

// Of the stack so much is used up before that a function which calls itself so often gets to its end.
const depth = inSoak(2_000, 12_000);
const base = image("alpine");

/** Calls a function where 60 kB of the stack are left. */
function nearTheEndOfTheStack(call: () => void): void {
  // What a call is given lies on the stack, 8 bytes for each.
  const tenKilobytes = Array.from({ length: 1_250 }, () => 0);
  let above = 0;
  const descend = (..._given: readonly number[]): void => {
    try {
      descend(...tenKilobytes);
    } catch (error) {
      above += 1;
      if (above !== 6) throw error;
      call();
    }
  };
  descend();
}

function repeat(start: State, step: (state: State, index: number) => State): State {
  let state = start;
  for (let index = 0; index < depth; index += 1) state = step(state, index);
  return state;
}

test.each<readonly [string, () => State]>([
  ["commands", () => repeat(base, (state, index) => state.run(["echo", String(index)]).root())],
  [
    "variables",
    () =>
      repeat(base, (state, index) => state.addEnv(`K${index}`, "v"))
        .run(["true"])
        .root(),
  ],
  [
    "variables set again",
    () =>
      repeat(base, (state) => state.addEnv("K", "v"))
        .run(["true"])
        .root(),
  ],
  [
    "directories",
    () =>
      repeat(base, (state) => state.dir("x/.."))
        .run(["true"])
        .root(),
  ],
  [
    "hosts",
    () =>
      repeat(base, (state) => state.addExtraHost("a", "1.2.3.4"))
        .run(["true"])
        .root(),
  ],
  [
    "limits",
    () =>
      repeat(base, (state) => state.ulimit("cpu", { soft: 1, hard: 2 }))
        .run(["true"])
        .root(),
  ],
  ["merges", () => repeat(base, (state) => merge([state, base]))],
  ["diffs", () => repeat(base, (state) => diff(state, base))],
  [
    "mounts",
    () => repeat(base, (state) => base.run(["true"], { mounts: [{ target: "/m", source: state }] }).root()),
  ],
  ["copies", () => repeat(scratch(), (state) => scratch().file(copy(state, { src: "/", dest: "/a" })))],
  ["requirements", () => repeat(base, (state) => state.requires("id", base))],
])("%s by the thousand are marshalled without recursion", (_name, build) => {
  nearTheEndOfTheStack(() => {
    const definition = marshal(build());
    expect(definition.ops.length).toBeGreaterThan(1);
    const bytes = definition.toBinary();
    const decoded = decodeDefinition(bytes);
    expect(Buffer.compare(decoded.toBinary(), bytes)).toBe(0);
    expect(marshal(fromDefinition(decoded)).ops.length).toBe(definition.ops.length);
  });
});

test("so deep a recursion comes to the end of what is left of the stack", () => {
  const descend = (left: number): number => (left === 0 ? 0 : 1 + descend(left - 1));
  expect(() => nearTheEndOfTheStack(() => descend(depth))).toThrow(RangeError);
});

test("a long list of file operations is one op, written without recursion", () => {
  nearTheEndOfTheStack(() => {
    let action: FileAction = mkdir("/0");
    for (let index = 1; index < depth; index += 1) action = action.mkdir(`/${index}`);
    const definition = marshal(base.file(action));
    expect(definition.ops.length).toBe(3);
  });
});

test("file operations that read from file operations are nested without recursion", () => {
  nearTheEndOfTheStack(() => {
    let action: FileAction = mkdir("/0");
    for (let index = 1; index < depth; index += 1) {
      action = copy(action.withState(scratch()), { src: "/", dest: `/${index}` });
    }
    expect(marshal(base.file(action)).ops.length).toBe(3);
  });
});

test("texts, graphs and JSON of a deep graph are written without recursion", () => {
  nearTheEndOfTheStack(() => {
    const definition = marshal(repeat(base, (state, index) => state.run(["echo", String(index)]).root()));
    expect(toText(definition).split("\n").length).toBeGreaterThan(depth);
    expect(toDot(definition).split("\n").length).toBeGreaterThan(depth);
    const bytes = definition.toBinary();
    expect(Buffer.from(definitionFromJson(definitionToJson(bytes))).equals(bytes)).toBe(true);
  });
});

import {
  diff,
  fromDefinition,
  image,
  marshal,
  merge,
  mkdir,
  mkfile,
  passthrough,
  type SourceRange,
  scratch,
  sourceMap,
} from "../../../src/llb/index.js";
import { alpine, type Case, yes } from "./shared.js";

const [a, b] = [image("a"), image("b")] as const;
const armA = () => image("a", { platform: "linux/arm64" });

function range(start: number, end: number): readonly SourceRange[] {
  return [{ start: { line: start }, end: { line: end, character: 3 } }];
}

function diamond() {
  const x = alpine.run(["x"]).root();
  const y = x.run(["y"]).root();
  const z = x.run(["z"], { mounts: [{ target: "/y", source: y }] }).root();
  return { x, y, z };
}

/** Ops over several filesystems, the order of graphs, and source maps. */
export const graphCases: Readonly<Record<string, Case>> = {
  "merge-options": () =>
    merge([a.dir("/x").addEnv("K", "v"), scratch(), b, a], { customName: "m", require: ["f"] })
      .run(yes)
      .root(),
  "merge-single": () => merge([scratch(), b]),
  "merge-none": () => merge([scratch(), scratch()]),
  "merge-platform": () => merge([armA(), b]).run(yes).root(),
  "diff-scratch-upper": () => diff(a, scratch(), { customName: "d" }),
  "diff-scratch-lower": () => diff(scratch(), a),
  "diff-same": () => diff(a, a),
  "diff-dir": () => diff(a.dir("/l"), b.dir("/u")).run(yes).root(),
  "merge-diff": () => merge([a, diff(a, a.run(yes).root()), diff(a, a.file(mkdir("/d", { mode: 0o755 })))]),
  requires: () => a.dir("/x").requires("id", b, scratch(), a).run(yes).root(),
  "requires-none": () => a.requires("id"),
  passthrough: () =>
    passthrough("p", [{ state: a }, { state: b, output: true }, { state: a, output: true }], {
      customName: "n",
    })[0]!,
  "passthrough-second": () =>
    passthrough("p", [
      { state: a },
      { state: b, output: true },
      { state: scratch(), output: true },
      { state: a, output: true },
    ])[1]!
      .run(yes)
      .root(),
  build: () => a.build(),
  "build-filename": () =>
    a.dir("/x").build({ filename: "f", platform: "linux/arm64", customName: "b" }).run(yes).root(),
  scratch: () => scratch(),
  reset: () => a.dir("/a").addEnv("A", "1").reset(b.dir("/b").addEnv("B", "2").user("u")).run(yes).root(),
  "reset-platform": () => armA().reset(b.dir("/b").addEnv("B", "2")).run(yes).root(),
  "reset-scratch": () => scratch().reset(b.dir("/b").platform("linux/s390x")).run(yes).root(),
  diamond: () => {
    const { x, y, z } = diamond();
    return merge([y, z, x]);
  },
  "equal-ops": () => merge([image("a").run(yes).root(), image("a").run(yes).root(), b]),
  "definition-again": () =>
    fromDefinition(marshal(diamond().z, { platform: "linux/arm64" }))
      .run(yes)
      .root(),
  "mixed-chain": () => {
    let state = alpine;
    for (let index = 0; index < 12; index += 1) {
      state = state
        .addEnv(`E${index % 5}`, String(index))
        .run(["sh", "-c", `echo ${index}`])
        .root()
        .file(mkfile(`/f${index}`, String(index), { mode: 0o644 }));
    }
    return state;
  },
  "source-maps": () => {
    const lines = { language: "TypeScript", data: "line one\nline two\n" };
    const [map, equal, other] = [
      sourceMap("build.ts", lines),
      sourceMap("build.ts", lines),
      sourceMap("other.ts", { data: "x" }),
    ] as const;
    return image("a", { location: { sourceMap: map, ranges: range(1, 1) } })
      .run(yes, {
        location: [
          { sourceMap: equal, ranges: range(2, 2) },
          { sourceMap: other, ranges: range(1, 1) },
          { sourceMap: map, ranges: [] },
        ],
      })
      .root()
      .file(mkdir("/a", { mode: 0o755 }));
  },
  "source-map-state": () => {
    const state = scratch().file(mkfile("/f", "x", { mode: 0o644 }));
    const held = sourceMap("f", { data: "x", state });
    return image("a", { location: { sourceMap: held, ranges: range(1, 1) } });
  },
};

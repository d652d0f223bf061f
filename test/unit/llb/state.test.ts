import fc from "fast-check";
import { expect, test } from "vitest";
import {
  copy,
  fromDefinition,
  image,
  marshal,
  merge,
  mkdir,
  mkfile,
  type RunOptions,
  scratch,
  shlex,
  toDot,
  toText,
} from "../../../src/llb/index.js";

const base = image("alpine:3.20");

test("a method changes nothing in the state it is called on", () => {
  const before = marshal(base.run(["env"]).root()).toBinary();
  base.addEnv("A", "1").dir("/x").user("u").network("host").hostname("h").platform("linux/arm64").delEnv("A");
  expect(marshal(base.run(["env"]).root()).toBinary()).toEqual(before);
});

test("what was set can be asked for", () => {
  const state = base
    .addEnv("A", "1")
    .addEnv("B", "2")
    .delEnv("A")
    .dir("/a")
    .dir("b")
    .user("u:g")
    .hostname("h");
  expect([...state.env()]).toEqual([["B", "2"]]);
  expect([state.getEnv("A"), state.getEnv("B")]).toEqual([undefined, "2"]);
  expect([state.getDir(), state.getUser(), state.getHostname()]).toEqual(["/a/b", "u:g", "h"]);
  expect(state.platform("linux/aarch64").getPlatform()).toEqual({ os: "linux", architecture: "arm64" });
});

test("variables are those of a map in which setting again moves to the end, however the chain is cut", () => {
  const change = fc.record({
    key: fc.constantFrom("A", "B", "C", "D", "E", "__proto__", "10", "9"),
    value: fc.option(
      fc.string({ maxLength: 3 }).filter((text) => !text.includes("\0")),
      { nil: undefined },
    ),
    look: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const expected = new Map<string, string>();
      let state = base;
      for (const { key, value, look } of changes) {
        expected.delete(key);
        if (value !== undefined) expected.set(key, value);
        state = value === undefined ? state.delEnv(key) : state.addEnv(key, value);
        if (look) expect(state.getEnv(key)).toBe(value);
      }
      expect([...state.env()]).toEqual([...expected]);
    }),
  );
});

test("the order in which options are written does not change an op", () => {
  const options: RunOptions = {
    env: { A: "1", B: "2" },
    dir: "/d",
    user: "u",
    network: "host",
    description: { x: "1", y: "2", "10": "3" },
    linuxResources: { memory: 1, cpuShares: 2 },
    mounts: [{ target: "/b" }, { target: "/a", readonly: true, sourcePath: "x" }],
    secrets: [{ target: "/s", uid: 1, optional: true }],
    validExitCodes: [0, 1],
    customName: "n",
  };
  const expected = marshal(base.run(["true"], options).root()).toBinary();
  fc.assert(
    fc.property(
      fc.shuffledSubarray(Object.keys(options), { minLength: Object.keys(options).length }),
      (keys) => {
        const shuffled = Object.fromEntries(keys.map((key) => [key, options[key as keyof RunOptions]]));
        expect(marshal(base.run(["true"], shuffled).root()).toBinary()).toEqual(expected);
      },
    ),
  );
});

test("marshalling twice gives the same bytes, and the message holds the same", () => {
  const state = merge([base.run(["true"], { customName: "a" }).root(), scratch().file(mkfile("/f", "x"))]);
  const definition = marshal(state);
  expect(marshal(state).toBinary()).toEqual(definition.toBinary());
  const message = definition.toMessage();
  expect(message.def).toEqual(definition.ops.map(({ bytes }) => bytes));
  expect(Object.keys(message.metadata)).toEqual([...definition.metadata.keys()].sort());
});

test("the platform defaults to linux/amd64, whatever the client runs on", () => {
  expect(marshal(base).vertices()[0]?.platform).toBe("linux/amd64");
});

test("a mount added to a command is in the graphs marshalled after that", () => {
  const exec = base.run(["true"]);
  const before = marshal(exec.root());
  const added = exec.addMount("/m", scratch());
  const after = marshal(exec.root());
  expect(after.ops[1]).not.toEqual(before.ops[1]);
  expect(marshal(added).head()).toEqual({ digest: after.head()?.digest, index: 1 });
});

test("a definition knows the op of every state in it", () => {
  const first = base.run(["first"]).root();
  const second = first.file(mkdir("/a"));
  const definition = marshal(second);
  expect(definition.digestOf(base)).toBe(definition.ops[0]?.digest);
  expect(definition.digestOf(first)).toBe(definition.ops[1]?.digest);
  expect(definition.digestOf(second)).toBe(definition.head()?.digest);
  expect(definition.digestOf(scratch())).toBeUndefined();
  expect(definition.digestOf(base.run(["other"]).root())).toBeUndefined();
});

test("vertices have the names that the daemon shows", () => {
  const exec = base.run(["sh", "-c", "echo hi"], { mounts: [{ target: "/m" }] });
  const named = base.run(["true"], { customName: "my step" }).root();
  const files = scratch().file(mkdir("/a").mkfile("/b", "x").copy(named, { src: "/c", dest: "/d" }));
  const definition = marshal(merge([exec.root(), exec.getMount("/m"), files]));
  expect(definition.vertices().map(({ kind, name }) => `${kind}: ${name}`)).toMatchInlineSnapshot(`
    [
      "source: docker-image://docker.io/library/alpine:3.20",
      "exec: sh -c echo hi",
      "exec: my step",
      "file: mkdir /a, mkfile /b, copy /c /d",
      "merge: merge (sh -c echo hi, sh -c echo hi, mkdir /a, mkfile /b, copy /c /d)",
    ]
  `);
});

test("the name of a nest of merges stays short", () => {
  let state = merge([base, image("busybox")]);
  for (let index = 0; index < 60; index += 1) state = merge([state, state.run(["true"]).root(), state]);
  for (const { name } of marshal(state).vertices()) expect(name.length).toBeLessThanOrEqual(1000);
});

test("building on a definition sends its ops again, byte for byte", () => {
  const definition = marshal(base.run(["true"], { customName: "first" }).root(), { platform: "linux/arm64" });
  const again = marshal(fromDefinition(definition).run(["next"]).root());
  expect(again.ops.slice(0, 2)).toEqual(definition.ops.slice(0, 2));
  expect(again.vertices().map(({ name, platform }) => [name, platform])).toEqual([
    ["docker-image://docker.io/library/alpine:3.20", "linux/arm64"],
    ["first", "linux/arm64"],
    ["next", "linux/arm64"],
  ]);
});

test("an empty state is an empty definition", () => {
  const definition = marshal(scratch().dir("/a"));
  expect([definition.ops.length, definition.toBinary().length, definition.head()]).toEqual([0, 0, undefined]);
  expect(toText(definition)).toBe("result scratch\n");
});

test("a text snapshot says all that is in a graph", () => {
  const exec = base
    .addEnv("A", "b c")
    .user("u")
    .run(["sh", "-c", "make all"], {
      mounts: [
        { target: "/cache", cache: { id: "c", sharing: "locked" } },
        { target: "/src", source: image("busybox"), readonly: true, sourcePath: "/bin" },
        { target: "/out" },
      ],
      secrets: [{ target: "/s", env: "S" }],
      network: "host",
      customName: "make",
      ignoreCache: true,
    });
  const state = scratch().file(
    mkdir("/d", { makeParents: true, owner: "me:0" }).copy(exec.getMount("/out"), {
      src: "/a b",
      dest: "/d/",
      includePatterns: ["*.o"],
    }),
  );
  expect(toText(marshal(state))).toMatchInlineSnapshot(`
    "#1 source docker-image://docker.io/library/alpine:3.20 [linux/amd64]
       caps source.image
    #2 source docker-image://docker.io/library/busybox:latest [linux/amd64]
       caps source.image
    #3 exec sh -c "make all" [linux/amd64]
       user u
       network host
       env "A=b c"
       secret /s as env S
       mount / from #1 -> .0
       mount /cache cache c locked from scratch
       mount /out from scratch -> .1
       mount /src from #2 path /bin readonly
       mount /s secret /s 0:0 0400
       ignore cache
       description llb.customname: make
       caps exec.meta.base exec.meta.network exec.mount.bind exec.mount.cache exec.mount.cache.sharing exec.mount.secret exec.mount.selector exec.secretenv
    #4 file
       0: on scratch mkdir /d 0755 makeParents user me of scratch group 0
       1: on action 0 copy "/a b" from #3.1 to /d/ includePatterns ["*.o"] -> .0
       caps file.base
    result #4
    "
  `);
});

test("a graph in DOT quotes names and numbers results", () => {
  const exec = base.run(["echo", 'a"b\n'], { mounts: [{ target: "/m" }] });
  const state = exec.root().file(copy(exec.getMount("/m"), { src: "/", dest: "/" }));
  expect(toDot(marshal(state)).replaceAll(/sha256:\w+/g, "DIGEST")).toMatchInlineSnapshot(`
    "digraph llb {
      rankdir=LR;
      op1 [shape=ellipse, label="docker-image://docker.io/library/alpine:3.20", tooltip="DIGEST"];
      op2 [shape=box, label="echo a\\"b\\n", tooltip="DIGEST"];
      op1 -> op2;
      op3 [shape=note, label="copy / /", tooltip="DIGEST"];
      op2 -> op3;
      op2 -> op3 [label="1"];
      result [shape=plaintext, label="result"];
      op3 -> result;
    }
    "
  `);
});

test.each([
  ["a b", ["a", "b"]],
  ["", []],
  ["a 'b c' \"d 'e'\" f\\ g", ["a", "b c", "d 'e'", "f g"]],
  ["'' \"\"", ["", ""]],
  ["a#b # c\nd", ["a#b", "d"]],
])("shlex splits %j", (text, words) => {
  expect(shlex(text)).toEqual(words);
});

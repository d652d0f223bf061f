import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { OpSchema } from "../../../src/gen/pb/ops_pb.js";
import { decodeOp } from "../../../src/llb/decode-op.js";
import { Definition, decodeDefinition, image, marshal, mkfile, scratch } from "../../../src/llb/index.js";
import { type ExecAdditions, rewriteExecs } from "../../../src/llb/rewrite-execs.js";
import { inSoak } from "../internal/long-runs.js";

const bind = marshal(scratch().file(mkfile("/f", "content")));

function execOf(definition: Definition, index = 0) {
  const execs = definition.ops.flatMap(({ bytes }) => {
    const { op } = decodeOp(bytes);
    return op.case === "exec" ? [op.value] : [];
  });
  const found = execs[index];
  if (found === undefined) throw new Error("no command");
  return found;
}

function oneCommand(options: Parameters<ReturnType<typeof image>["run"]>[1] = {}): Definition {
  return marshal(image("alpine").run(["true"], options).root());
}

describe("a definition with additions to its commands", () => {
  it("has the bytes of the graph that was written with them", () => {
    const source = scratch().file(mkfile("/f", "content"));
    const options = {
      env: { B: "2", A: "new" },
      secrets: [
        { id: "s", env: "S" },
        { id: "f", target: "/run/f", mode: 0o444 },
      ],
      cdiDevices: [{ name: "vendor.example/gpu=0" }],
      mounts: [{ target: "/z", source, sourcePath: "/f", readonly: true }],
    };
    const changed = rewriteExecs(oneCommand({ env: { B: "2" } }), () => ({
      ...{ env: Object.entries({ A: "new" }), secrets: options.secrets },
      ...{ devices: ["vendor.example/gpu=0"], binds: [{ target: "/z", source: bind, sourcePath: "/f" }] },
    }));
    const expected = execOf(oneCommand(options));
    const found = execOf(changed);
    const sorted = (exec: typeof found) => [...exec.mounts].sort((a, b) => (a.dest < b.dest ? -1 : 1));
    expect({ ...found, mounts: sorted(found) }).toEqual({ ...expected, mounts: sorted(expected) });
    // What it needs comes before it, and the whole can be read back.
    expect(changed.ops.map(({ bytes }) => decodeOp(bytes).op.case)).toEqual([
      ...["source", "file", "exec", undefined],
    ]);
    expect(decodeDefinition(changed.toBinary()).head()).toEqual(changed.head());
    const caps = Object.keys(changed.metadata.get(changed.head()?.digest ?? "")?.caps ?? {});
    expect(caps).toEqual(
      expect.arrayContaining(["exec.secretenv", "exec.mount.secret", "exec.meta.cdi", "exec.mount.bind"]),
    );
  });

  it("replaces variables of the same name, and keeps secrets that the command names itself", () => {
    const definition = oneCommand({
      env: { A: "old", Z: "z" },
      secrets: [{ id: "own", env: "S" }],
    });
    const exec = execOf(
      rewriteExecs(definition, () => ({ env: [["A", "new=1"]], secrets: [{ id: "other", env: "S" }] })),
    );
    expect(exec.meta?.env).toEqual(["Z=z", "A=new=1"]);
    expect(exec.secretenv.map(({ ID }) => ID)).toEqual(["own"]);
  });

  it("gives secrets other ids, as variables and as files", () => {
    const definition = oneCommand({
      secrets: [
        { id: "a", env: "A" },
        { id: "b", target: "/b" },
        { id: "c", target: "/c" },
      ],
    });
    const ids = new Map([
      ["a", "one"],
      ["b", "two"],
    ]);
    const exec = execOf(rewriteExecs(definition, () => ({ secretId: (id) => ids.get(id) })));
    expect(exec.secretenv.map(({ ID }) => ID)).toEqual(["one"]);
    expect(exec.mounts.flatMap(({ secretOpt }) => secretOpt?.ID ?? [])).toEqual(["two", "c"]);
  });

  it("numbers the result of a writable file after those that are there", () => {
    const definition = oneCommand({ mounts: [{ target: "/a", source: image("busybox") }] });
    const exec = execOf(
      rewriteExecs(definition, () => ({
        binds: [
          { target: "/mark", source: bind, sourcePath: "/f", writable: true },
          { target: "/again", source: bind, sourcePath: "/f" },
        ],
      })),
    );
    expect(exec.mounts.map(({ dest, input, output, readonly }) => [dest, input, output, readonly])).toEqual([
      ["/", 0n, 0n, false],
      ["/a", 1n, 1n, false],
      ["/mark", 2n, 2n, false],
      ["/again", 2n, -1n, true],
    ]);
  });

  it("is the same one if nothing is added, and hands on which command it is about", () => {
    const definition = marshal(
      image("alpine")
        .run(["one"], { mounts: [{ target: "/c", cache: { id: "c" } }] })
        .root()
        .run(["two"])
        .root(),
    );
    const seen: unknown[] = [];
    const same = rewriteExecs(definition, ({ args, hasCaches }) => {
      seen.push([args, hasCaches]);
      return args[0] === "one" ? undefined : {};
    });
    expect(same).toBe(definition);
    expect(seen).toEqual([
      [["one"], true],
      [["two"], false],
    ]);
  });

  it("keeps what it does not know of a command", () => {
    const [source, command, last] = oneCommand().ops.map(({ bytes }) => bytes);
    const message = decodeOp(command ?? new Uint8Array());
    if (message.op.case !== "exec") throw new Error("no command");
    message.op.value.$unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(7) }];
    const newer = toBinary(OpSchema, message);
    const foreign = Definition.fromFields({ def: [source, newer, last].flatMap((bytes) => bytes ?? []) });
    const exec = execOf(rewriteExecs(foreign, () => ({ env: [["A", "1"]] })));
    expect(exec.$unknown).toMatchObject([{ no: 99 }]);
    expect(exec.meta?.env).toEqual(["A=1"]);
  });

  it("takes time in proportion to the number of ops", () => {
    const chain = (length: number): Definition => {
      let state = image("alpine");
      for (let index = 0; index < length; index += 1) state = state.run(["echo", String(index)]).root();
      return marshal(state);
    };
    const additions: ExecAdditions = {
      env: [["A", "1"]],
      binds: [{ target: "/b", source: bind, sourcePath: "/f" }],
    };
    const large = chain(inSoak(2_000, 5_000));
    expect(rewriteExecs(large, () => additions).ops).toHaveLength(large.ops.length + 1);
  });
});

import { readFileSync } from "node:fs";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { DefinitionSchema, OpMetadataSchema } from "../../src/gen/pb/ops_pb.js";
import { marshal } from "../../src/llb/index.js";
import { listedStates } from "./listed-states.js";

interface Vector {
  readonly name: string;
  readonly definition: string;
  readonly digests: readonly string[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

const vectors = JSON.parse(
  readFileSync(new URL("vectors/llb-vectors.json", import.meta.url), "utf8"),
) as readonly Vector[];

test("there is a state for every listed vector", () => {
  expect(Object.keys(listedStates).sort()).toEqual(vectors.map(({ name }) => name).sort());
});

test.each(vectors)("$name: ops, order, digests and metadata are those of Go's client", (vector) => {
  const definition = marshal(listedStates[vector.name]!(), { platform: "linux/amd64" });
  const expected = fromBinary(DefinitionSchema, Buffer.from(vector.definition, "base64"));
  expect(definition.ops.map(({ bytes }) => Buffer.from(bytes).toString("hex"))).toEqual(
    expected.def.map((bytes) => Buffer.from(bytes).toString("hex")),
  );
  expect(definition.ops.map(({ digest }) => digest)).toEqual(vector.digests);
  const ours = fromBinary(DefinitionSchema, definition.toBinary());
  const metadata = Object.entries(ours.metadata).map(([digest, value]) => [
    digest,
    toJson(OpMetadataSchema, value),
  ]);
  expect(Object.fromEntries(metadata)).toEqual(vector.metadata);
  expect(ours.metadata).toEqual(expected.metadata);
});

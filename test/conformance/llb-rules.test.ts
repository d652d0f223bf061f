import { readFileSync } from "node:fs";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Definition as DefinitionMessage, DefinitionSchema, OpSchema } from "../../src/gen/pb/ops_pb.js";
import { marshal, State } from "../../src/llb/index.js";
import { execCases, mountCases } from "./states/execs.js";
import { fileCases } from "./states/files.js";
import { graphCases } from "./states/graphs.js";
import type { Case } from "./states/shared.js";
import { imageCases, sourceCases } from "./states/sources.js";

/** A definition as Go's client marshals it, its maps sorted; locations without any range are left out. */
interface Vector {
  readonly name: string;
  readonly definition: string;
}

const vectors = JSON.parse(
  readFileSync(new URL("vectors/llb-rules.json", import.meta.url), "utf8"),
) as readonly Vector[];

const cases: Readonly<Record<string, Case>> = {
  ...imageCases,
  ...sourceCases,
  ...mountCases,
  ...execCases,
  ...fileCases,
  ...graphCases,
};

test("there is a state for every vector", () => {
  expect(Object.keys(cases).sort()).toEqual(vectors.map(({ name }) => name).sort());
});

test.each(vectors)("$name: the whole definition is that of Go's client", ({ name, definition }) => {
  const made = cases[name]!();
  const [state, options] = made instanceof State ? [made, {}] : made;
  const ours = marshal(state, { platform: "linux/amd64", localUniqueId: "unique", ...options }).toBinary();
  const expected = Buffer.from(definition, "base64");
  expect(readable(ours)).toEqual(readable(expected));
  expect(Buffer.from(ours).toString("base64")).toBe(definition);
});

/** Ops in words with their bytes, so that a difference can be read. */
function readable(bytes: Uint8Array): unknown {
  const message: DefinitionMessage = fromBinary(DefinitionSchema, bytes);
  const ops = message.def.map((op) => [
    toJson(OpSchema, fromBinary(OpSchema, op)),
    Buffer.from(op).toString("hex"),
  ]);
  return { ops, metadata: message.metadata, source: message.Source };
}

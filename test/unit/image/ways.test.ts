import { expect, test } from "vitest";
import { builderVersion } from "../../../src/image/builder-version.js";
import { compile } from "../../../src/image/compile.js";
import { Image } from "../../../src/image/image.js";
import { LayersNeeded } from "../../../src/image/layers-question.js";
import type { Facts } from "../../../src/model/facts.js";
import type { TreeWay } from "../../../src/model/tree-way.js";

const digest = `sha256:${"d".repeat(64)}`;
const layers: TreeWay = { kind: "layers", store: "trees", digest, layers: 3 };

function factsOf(ways?: ReadonlyMap<string, TreeWay>, unique = "unique-of-this-build"): Facts {
  return {
    platform: { os: "linux", architecture: "amd64" },
    builderVersion: builderVersion(undefined).id,
    bases: new Map(),
    trees: new Map([
      ["2.source", { name: "kiln-0123456789ab", sharedKeyHint: "0123456789ab" }],
      ["1.source", { name: "kiln-0123456789ab", sharedKeyHint: "0123456789ab" }],
    ]),
    files: new Map(),
    listings: new Map(),
    secrets: new Map(),
    frontends: new Map(),
    caBundles: new Map(),
    sourceDateEpoch: undefined,
    localUniqueId: unique,
    ways,
  };
}

function needed(image: Image, facts: Facts): LayersNeeded["question"] {
  try {
    compile(image, facts);
  } catch (error) {
    if (error instanceof LayersNeeded) return error.question;
    throw error;
  }
  throw new Error("nothing was asked");
}

const chain = Image.fromScratch()
  .runCommands("make")
  .addLocalDir("./src", "/app/", { copy: true })
  .runCommands("test -d /app");

test("without ways, all trees are sent file by file, and nothing is asked", () => {
  const plan = compile(chain, factsOf());
  expect(plan.copies).toEqual([
    {
      id: "2.source /app/",
      tree: "2.source",
      step: 2,
      to: "/app/",
      before: expect.any(String),
      way: "local",
    },
  ]);
  expect(plan.copies[0]?.before).toMatch(/^sha256:/);
});

test("a copy whose way is not known is asked for, with what is before it", () => {
  const question = needed(chain, factsOf(new Map()));
  expect(question).toMatchObject({
    id: "2.source /app/",
    tree: "2.source",
    step: 2,
    to: "/app/",
    keepMtime: false,
    createdBy: "COPY directory /app/",
  });
  expect(question.before?.ops.length).toBe(2);
  expect([...question.commands.values()]).toEqual([{ step: 1, command: "make" }]);
});

test("layers are one source under what follows, with a line of history for each", () => {
  const ways = new Map([["2.source /app/", layers]]);
  const plan = compile(chain, factsOf(ways));
  // The source, the command after it, and what names the result: what was before the copy is in the layers.
  expect(plan.definition?.ops.length).toBe(3);
  expect(plan.toSnapshot()).toContain(`oci-layout://kiln/tree@${digest}`);
  const history = plan.config.history?.map(({ created_by }) => created_by);
  expect(history).toEqual(["RUN make", ...Array(3).fill("COPY directory /app/"), "RUN test -d /app"]);
});

test("a file alone is never asked for", () => {
  const image = Image.fromScratch().addLocalFile("./a", "/a", { copy: true });
  const plan = compile(image, factsOf(new Map()));
  expect(plan.copies).toEqual([]);
});

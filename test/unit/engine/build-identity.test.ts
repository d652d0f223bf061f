import { expect, test } from "vitest";
import { identifyBuild, identityFacts } from "../../../src/engine/build-identity.js";
import type { Gathered } from "../../../src/engine/inputs/gather.js";
import { ociLayout, registry } from "../../../src/engine/outputs.js";
import { builderVersion } from "../../../src/image/builder-version.js";
import { compile } from "../../../src/image/compile.js";
import { Image } from "../../../src/image/image.js";
import type { Facts } from "../../../src/model/facts.js";

const digest = `sha256:${"1".repeat(64)}`;
const chain = Image.fromRegistry("debian:12")
  .addLocalDir("./src", "/app", { copy: true })
  .runCommands("make");

interface Here {
  readonly path?: string;
  readonly unique?: string;
  readonly base?: string;
}

function factsOf({ path = "0123456789ab", unique = "one-build", base = digest }: Here = {}): Facts {
  const config = { architecture: "amd64", os: "linux" };
  return {
    platform: { os: "linux", architecture: "amd64" },
    builderVersion: builderVersion(undefined).id,
    bases: new Map([
      ["0.base", { kind: "registry", ref: `docker.io/library/debian:12@${base}`, digest: base, config }],
    ]),
    trees: new Map([["1.source", { name: `kiln-${path}`, sharedKeyHint: path }]]),
    files: new Map(),
    listings: new Map(),
    secrets: new Map(),
    frontends: new Map(),
    caBundles: new Map(),
    sourceDateEpoch: undefined,
    localUniqueId: unique,
  };
}

function keyOf(
  facts: Facts,
  {
    tree = "sha256:aa",
    settings = {},
    publish,
  }: { tree?: string; settings?: Gathered["settings"]; publish?: string } = {},
  image: Image = chain,
): string {
  const plan = compile(image, identityFacts(facts, new Map([["1.source", tree]])));
  // Nothing else of what was gathered is looked at.
  return identifyBuild(plan, { settings, publish } as Gathered).key;
}

test("neither the place of a tree nor the build counts", () => {
  expect(keyOf(factsOf())).toBe(keyOf(factsOf({ path: "ba9876543210", unique: "another-build" })));
  expect(keyOf(factsOf())).toMatch(/^[0-9a-f]{64}$/);
});

test("a tree that nobody looked through makes a build like no other", () => {
  const plan = () => compile(chain, identityFacts(factsOf(), new Map()));
  const settings: Gathered["settings"] = {};
  const keys = [plan(), plan()].map((each) => identifyBuild(each, { settings } as Gathered).key);
  expect(keys[0]).not.toBe(keys[1]);
});

const other: readonly (readonly [string, () => string])[] = [
  ["another content of a tree", () => keyOf(factsOf(), { tree: "sha256:bb" })],
  ["another base", () => keyOf(factsOf({ base: `sha256:${"2".repeat(64)}` }))],
  ["another command", () => keyOf(factsOf(), {}, chain.runCommands("true"))],
  ["a label", () => keyOf(factsOf(), {}, chain.label({ a: "1" }))],
  ["another platform", () => keyOf({ ...factsOf(), platform: { os: "linux", architecture: "arm64" } })],
  ["an output", () => keyOf(factsOf(), { settings: { outputs: [ociLayout("/out")] } })],
  ["a name", () => keyOf(factsOf(), { publish: "app" })],
  ["times of what is made", () => keyOf(factsOf(), { settings: { sourceDateEpoch: 1 } })],
  ["attestations", () => keyOf(factsOf(), { settings: { attestations: { provenance: true } } })],
];

test.each(other)("%s makes it another build", (_what, key) => {
  expect(key()).not.toBe(keyOf(factsOf()));
});

test("options of an output count, their order does not", () => {
  const key = (...options: Parameters<typeof registry>): string =>
    keyOf(factsOf(), { settings: { outputs: [registry(...options)] } });
  expect(key("localhost/a", { compression: "gzip", insecure: true })).toBe(
    key("localhost/a", { insecure: true, compression: "gzip" }),
  );
  expect(key("localhost/a", { compression: "zstd" })).not.toBe(key("localhost/a"));
});

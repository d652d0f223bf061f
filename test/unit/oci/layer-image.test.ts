import { expect, test } from "vitest";
import { canonicalJson } from "../../../src/oci/canonical-json.js";
import { sha256 } from "../../../src/oci/digest.js";
import type { HistoryEntry, ImageConfig } from "../../../src/oci/image-config.js";
import { type LayerImage, type LayerImageOptions, layerImage } from "../../../src/oci/layer-image.js";
import type { ImageManifest } from "../../../src/oci/manifest.js";
import { mediaTypes } from "../../../src/oci/media-types.js";

const id = (letter: string): string => `sha256:${letter.repeat(64)}`;

const baseConfig: ImageConfig = {
  architecture: "amd64",
  os: "linux",
  created: "2020-01-01T00:00:00Z",
  config: { Env: ["PATH=/bin"], Cmd: ["sh"] },
  rootfs: { type: "layers", diff_ids: [id("a"), id("b")] },
  history: [
    { created: "2019-01-01T00:00:00Z", created_by: "ADD rootfs" },
    { created: "2019-01-02T00:00:00Z", created_by: "ENV X", empty_layer: true },
    { created: "2019-01-03T00:00:00Z", created_by: "RUN y" },
  ],
  "moby.unknown": { kept: [1, null] },
};

const { rootfs: _rootfs, created: _created, ...wanted } = baseConfig;

const options: LayerImageOptions = {
  baseManifest: {
    layers: [
      { mediaType: mediaTypes.dockerLayer, digest: id("1"), size: 11, urls: ["https://example.com/1"] },
      { mediaType: mediaTypes.ociLayerZstd, digest: id("2"), size: 22, annotations: { note: "kept" } },
    ],
  },
  baseConfig,
  layers: [
    { mediaType: mediaTypes.ociLayerGzip, digest: id("3"), size: 33, diffId: id("c") },
    { mediaType: mediaTypes.ociLayer, digest: id("d"), size: 44, diffId: id("d") },
  ],
  config: { ...wanted, architecture: "arm64", variant: "v8", config: { Cmd: ["python"], Entrypoint: null } },
  createdBy: "COPY directory /app",
  created: "2024-05-06T07:08:09Z",
};

const parse = <T>(document: LayerImage["config"]): T =>
  JSON.parse(Buffer.from(document.bytes).toString()) as T;
const configOf = (changed: Partial<LayerImageOptions> = {}): ImageConfig =>
  parse<ImageConfig>(layerImage({ ...options, ...changed }).config);
const historyOf = (history: readonly HistoryEntry[]): unknown =>
  configOf({ config: { ...wanted, history } }).history;

const added = { created: "2024-05-06T07:08:09Z", created_by: "COPY directory /app", comment: "kiln" };

test("layers go on top of a base's, with the config that is wanted", () => {
  const image = layerImage(options);
  expect(parse<ImageConfig>(image.config)).toEqual({
    architecture: "arm64",
    os: "linux",
    variant: "v8",
    created: "2024-05-06T07:08:09Z",
    config: { Cmd: ["python"], Entrypoint: null },
    rootfs: { type: "layers", diff_ids: [id("a"), id("b"), id("c"), id("d")] },
    history: [...(baseConfig.history ?? []), added, added],
    "moby.unknown": { kept: [1, null] },
  });
  expect(parse<ImageManifest>(image.manifest)).toEqual({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: {
      mediaType: mediaTypes.ociConfig,
      digest: sha256(image.config.bytes),
      size: image.config.bytes.length,
    },
    layers: [
      { mediaType: mediaTypes.ociLayerGzip, digest: id("1"), size: 11, urls: ["https://example.com/1"] },
      { mediaType: mediaTypes.ociLayerZstd, digest: id("2"), size: 22, annotations: { note: "kept" } },
      { mediaType: mediaTypes.ociLayerGzip, digest: id("3"), size: 33 },
      { mediaType: mediaTypes.ociLayer, digest: id("d"), size: 44 },
    ],
  });
  expect(image.manifest.descriptor).toEqual({
    mediaType: mediaTypes.ociManifest,
    digest: sha256(image.manifest.bytes),
    size: image.manifest.bytes.length,
  });
});

test("equal input has equal bytes, in whatever order its keys are", () => {
  const turned = Object.fromEntries(Object.entries(options.config).reverse()) as ImageConfig;
  const image = layerImage({ ...options, config: turned });
  expect(image.manifest.descriptor.digest).toBe(layerImage(options).manifest.descriptor.digest);
  expect(image.manifest.descriptor.digest).toBe(
    "sha256:be689e7dc41ff3bb7bc0c20bc2c4d669cd8e504da0310f8925becbc2857d864e",
  );
  const others = [{ created: "2024-05-06T07:08:10Z" }, { createdBy: "COPY" }, { layers: [] }];
  const digests = others.map((other) => layerImage({ ...options, ...other }).manifest.descriptor.digest);
  expect(new Set([image.manifest.descriptor.digest, ...digests]).size).toBe(4);
});

test("an image may begin from nothing", () => {
  const image = layerImage({
    ...options,
    baseManifest: undefined,
    baseConfig: { architecture: "amd64", os: "linux" },
    config: { architecture: "amd64", os: "linux" },
  });
  expect(parse<ImageConfig>(image.config)).toMatchObject({
    rootfs: { type: "layers", diff_ids: [id("c"), id("d")] },
    history: [added, added],
  });
});

test("a history that does not fit the base's layers is made to", () => {
  const created = "2024-05-06T07:08:09Z";
  const [first, , third] = baseConfig.history ?? [];
  expect(historyOf([])).toEqual([{ created, comment: "kiln" }, { created, comment: "kiln" }, added, added]);
  expect(historyOf([first ?? {}])).toEqual([first, { created, comment: "kiln" }, added, added]);
  expect(historyOf([{ created_by: "one too many" }, first ?? {}, third ?? {}])).toEqual([
    { created, created_by: "one too many", empty_layer: true },
    first,
    third,
    added,
    added,
  ]);
});

test("a config without history has the base's", () => {
  const { history: _history, ...without } = wanted;
  expect(configOf({ config: without as ImageConfig }).history).toEqual([
    ...(baseConfig.history ?? []),
    added,
    added,
  ]);
});

test("a base whose manifest and config do not belong together is refused", () => {
  expect(() => layerImage({ ...options, baseManifest: { layers: [] } })).toThrow(
    expect.objectContaining({
      code: "ERR_KILN_LAYOUT_INVALID",
      message: expect.stringContaining("0 layers"),
    }),
  );
});

test("canonical JSON sorts keys at every depth, and keeps lists and the order in them", () => {
  expect(canonicalJson({ b: 1, a: { d: undefined, c: [{ z: 1, y: null }, 2] }, Z: "ü\n" })).toBe(
    '{"Z":"ü\\n","a":{"c":[{"y":null,"z":1},2]},"b":1}',
  );
});

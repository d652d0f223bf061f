import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { imageOfLayers } from "../../../src/oci/image-of-layers.js";

const layer = (fill: string, mediaType = "application/vnd.oci.image.layer.v1.tar+gzip") => ({
  mediaType,
  digest: `sha256:${fill.repeat(64)}`,
  size: 7,
});
const config = {
  architecture: "amd64",
  os: "linux",
  config: { Env: ["A=1"] },
  rootfs: { type: "layers", diff_ids: [`sha256:${"a".repeat(64)}`, `sha256:${"b".repeat(64)}`] },
  "org.example.unknown": [1],
};

test("the manifest names config and layers by what they are", () => {
  const made = imageOfLayers(config, [layer("a"), layer("b")]);
  const manifest: unknown = JSON.parse(made.manifest.bytes.toString());
  expect(manifest).toEqual({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: made.config.descriptor,
    layers: [layer("a"), layer("b")],
  });
  expect(JSON.parse(made.config.bytes.toString())).toEqual(config);
  for (const { bytes, descriptor } of [made.config, made.manifest]) {
    expect(descriptor.digest).toBe(`sha256:${createHash("sha256").update(bytes).digest("hex")}`);
    expect(descriptor.size).toBe(bytes.length);
  }
  expect(imageOfLayers(config, [layer("a"), layer("b")])).toEqual(made);
});

test("Docker's media types are given to layers too, and only to those that have one", () => {
  const layers = [layer("a"), layer("b", "application/vnd.oci.image.layer.v1.tar+zstd")];
  const { manifest } = imageOfLayers(config, layers, "docker");
  expect(JSON.parse(manifest.bytes.toString())).toMatchObject({
    mediaType: "application/vnd.docker.distribution.manifest.v2+json",
    config: { mediaType: "application/vnd.docker.container.image.v1+json" },
    layers: [
      { mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip" },
      { mediaType: "application/vnd.oci.image.layer.v1.tar+zstd" },
    ],
  });
});

test("a config of other layers is refused", () => {
  expect(() => imageOfLayers(config, [layer("a")])).toThrow(TypeError);
});

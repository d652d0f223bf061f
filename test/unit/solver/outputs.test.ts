import { expect, it } from "vitest";
import { KilnError } from "../../../src/errors.js";
import { exporterEntries } from "../../../src/solver/exporter-entries.js";
import {
  dockerTar,
  filesTar,
  localDir,
  type Output,
  ociLayout,
  ociTar,
  registry,
} from "../../../src/solver/outputs.js";

const config = { architecture: "amd64", os: "linux" };

function entry(output: Output, sourceDateEpoch?: number) {
  return exporterEntries([output], { config, sourceDateEpoch })[0];
}

const image = { "containerimage.config": JSON.stringify(config) };

it.each([
  [
    "registry",
    registry("h/a:1"),
    { type: "image", attrs: { ...image, name: "h/a:1", push: "true", store: "false" } },
  ],
  [
    "registry with every option",
    registry(["h/a:1", "h/a:2"], {
      compression: "zstd",
      compressionLevel: 7,
      forceCompression: true,
      insecure: true,
      pushByDigest: true,
    }),
    {
      type: "image",
      attrs: {
        ...image,
        name: "h/a:1,h/a:2",
        push: "true",
        store: "false",
        compression: "zstd",
        "compression-level": "7",
        "force-compression": "true",
        "oci-mediatypes": "true",
        "registry.insecure": "true",
        "push-by-digest": "true",
      },
    },
  ],
  [
    "OCI layout",
    ociLayout("out", { name: "a:1" }),
    { type: "oci", attrs: { ...image, name: "a:1", tar: "false" } },
  ],
  ["OCI tar", ociTar("out.tar"), { type: "oci", attrs: image }],
  [
    "estargz in an OCI tar",
    ociTar("o", { compression: "estargz" }),
    { type: "oci", attrs: { ...image, compression: "estargz", "oci-mediatypes": "true" } },
  ],
  ["Docker tar", dockerTar("out.tar", { name: "a:1" }), { type: "docker", attrs: { ...image, name: "a:1" } }],
  ["directory", localDir("out"), { type: "local", attrs: {} }],
  ["tar", filesTar("out.tar"), { type: "tar", attrs: {} }],
] as const)("asks for the %s in BuildKit's words", (_title, output, expected) => {
  expect(entry(output)).toEqual(expected);
});

it("clamps times of every output to the source date epoch", () => {
  expect(entry(localDir("out"), 42)?.attrs).toEqual({ "source-date-epoch": "42" });
  expect(entry(ociTar("out"), 42)?.attrs["source-date-epoch"]).toBe("42");
});

it.each([
  ["an unknown compression", () => registry("a/b", { compression: "lz4" as "gzip" })],
  ["a level without compression", () => registry("a/b", { compressionLevel: 3 })],
  ["a gzip level above 9", () => registry("a/b", { compression: "gzip", compressionLevel: 10 })],
  ["a zstd level above 22", () => ociTar("x", { compression: "zstd", compressionLevel: 23 })],
  ["zstd with Docker's media types", () => registry("a/b", { compression: "zstd", ociMediaTypes: false })],
  ["an OCI layout with Docker's media types", () => ociLayout("x", { ociMediaTypes: false })],
  ["estargz for docker load", () => dockerTar("x", { compression: "estargz" })],
  ["a snake_case option", () => registry("a/b", { force_compression: true } as object)],
  ["an empty name", () => registry("")],
  ["names with a comma", () => registry("a,b")],
  ["an empty path", () => ociLayout("")],
])("refuses %s at the call", (_title, call) => {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(KilnError);
  expect((thrown as KilnError).location?.file).toBe(import.meta.filename);
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  formatPlatform,
  formatReference,
  initOciLayout,
  openOciLayout,
  parsePlatform,
  parseReference,
  samePlatform,
  updateOciIndex,
  writeBlob,
} from "../../../src/oci/index.js";

describe("references", () => {
  it.each([
    ["debian", "docker.io/library/debian:latest"],
    ["debian:12", "docker.io/library/debian:12"],
    ["user/name", "docker.io/user/name:latest"],
    ["index.docker.io/a/b", "docker.io/a/b:latest"],
    ["localhost/a", "localhost/a:latest"],
    ["localhost:5000/a:1", "localhost:5000/a:1"],
    [`ghcr.io/a/b@sha256:${"0".repeat(64)}`, `ghcr.io/a/b@sha256:${"0".repeat(64)}`],
    [`ghcr.io/a/b:t@sha256:${"0".repeat(64)}`, `ghcr.io/a/b:t@sha256:${"0".repeat(64)}`],
    ["[::1]:5000/a", "[::1]:5000/a:latest"],
  ])("%s means %s", (text, expected) => {
    expect(formatReference(parseReference(text))).toBe(expected);
  });

  it.each([
    "",
    "a b",
    "A",
    "a:",
    "a@b",
    "a//b",
    "-a",
    `a/b:${"t".repeat(200)}`,
    "docker.io/",
    "x".repeat(300),
  ])("refuses %j", (text) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({ code: "ERR_KILN_INVALID_REFERENCE" }),
    );
  });
});

describe("platforms", () => {
  it.each([
    ["linux/amd64", "linux/amd64"],
    ["x86_64", "linux/amd64"],
    ["linux/arm64/v8", "linux/arm64"],
    ["aarch64", "linux/arm64"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/arm/6", "linux/arm/v6"],
    ["Linux/AMD64/v1", "linux/amd64"],
    ["linux/amd64/v3", "linux/amd64/v3"],
    ["macos/arm64", "darwin/arm64"],
  ])("%s is %s", (text, expected) => {
    expect(formatPlatform(parsePlatform(text))).toBe(expected);
  });

  it.each(["", "linux/", "linux/nope", "plan9/amd64", "a/b/c/d"])("refuses %j", (text) => {
    expect(() => parsePlatform(text)).toThrow(expect.objectContaining({ code: "ERR_KILN_INVALID_PLATFORM" }));
  });

  it("compares normalised", () => {
    expect(samePlatform({ os: "linux", architecture: "arm64", variant: "v8" }, parsePlatform("arm64"))).toBe(
      true,
    );
  });
});

describe("layouts", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "kiln-layout-"));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  const manifestType = "application/vnd.oci.image.manifest.v1+json";

  async function addImage(tag: string | undefined, label: string) {
    await initOciLayout(dir);
    const json = (value: object) => writeBlob(dir, Buffer.from(JSON.stringify(value)));
    const config = await json({ architecture: "amd64", os: "linux", config: { Labels: { label } } });
    const manifest = await json({ schemaVersion: 2, config: { mediaType: "c", ...config }, layers: [] });
    const descriptor = { mediaType: manifestType, ...manifest };
    await updateOciIndex(dir, descriptor, tag === undefined ? {} : { tag });
    return descriptor;
  }

  it("keep other images when one is added, and replace the one of the same tag", async () => {
    await addImage("a", "1");
    const b = await addImage("b", "2");
    const a = await addImage("a", "3");
    const layout = await openOciLayout(dir);
    expect(layout.index.manifests.map(({ digest }) => digest)).toEqual([b.digest, a.digest]);
    const image = await layout.image("a", parsePlatform("amd64"));
    expect(image.config.config?.Labels).toEqual({ label: "3" });
    expect((await layout.image(b.digest, parsePlatform("amd64"))).root.digest).toBe(b.digest);
  });

  it("say which images there are when the one asked for is not, or none was named", async () => {
    await addImage("a", "1");
    await addImage("b", "2");
    const layout = await openOciLayout(dir);
    expect(() => layout.resolve("c")).toThrow(
      expect.objectContaining({ code: "ERR_KILN_LAYOUT_INVALID", hint: "It has a, b." }),
    );
    expect(() => layout.resolve()).toThrow(
      expect.objectContaining({ hint: "Say which with ref: it has a, b." }),
    );
  });

  it("refuse damaged blobs and digests that are paths", async () => {
    const { digest } = await addImage("a", "1");
    const layout = await openOciLayout(dir);
    expect(() => layout.blobPath("sha256:../../etc/passwd")).toThrow(
      expect.objectContaining({ code: "ERR_KILN_LAYOUT_INVALID" }),
    );
    const path = layout.blobPath(digest);
    writeFileSync(path, `${readFileSync(path, "utf8")} `);
    await expect(layout.image("a", parsePlatform("amd64"))).rejects.toThrow(/is damaged/);
  });

  it("that are none are told from those that are missing", async () => {
    await expect(openOciLayout(join(dir, "no"))).rejects.toMatchObject({ code: "ERR_KILN_FILE_NOT_FOUND" });
    writeFileSync(join(dir, "index.json"), "{");
    await expect(openOciLayout(dir)).rejects.toMatchObject({ code: "ERR_KILN_LAYOUT_INVALID" });
  });
});

import { describe, expect, it } from "vitest";
import { Image } from "../../../src/image/image.js";
import { execsOf, needsWith, planOf } from "./compiled.js";
import { thrown } from "./thrown.js";

const id = `sha256:${"b".repeat(64)}`;

describe("Image.node", () => {
  it.each([
    [undefined, "22.21.1"],
    ["20", "20.19.5"],
    ["24", "24.11.1"],
    ["22.3.0", "22.3.0"],
  ])("takes the official image for %s", (version, full) => {
    const ref = `node:${full}-bookworm-slim`;
    for (const image of [Image.node(version), Image.node({ version })]) {
      expect(needsWith(image).needs.bases).toMatchObject([
        { ref: `docker.io/library/${ref}`, refresh: false },
      ]);
      expect(image.toModalLayers()).toEqual([{ commands: [`FROM ${ref}`], contextFiles: {} }]);
      expect(execsOf(planOf(image))).toEqual([]);
    }
  });

  it("keeps what the base runs, and asks for it anew with forceBuild", () => {
    expect(planOf(Image.node(), {}, { Cmd: ["node"] }).config.config?.Cmd).toEqual(["node"]);
    expect(needsWith(Image.node({ forceBuild: true })).needs.bases).toMatchObject([{ refresh: true }]);
  });

  it.each([
    [22, 'Write "22" in quotes'],
    ["22.1", '"22.3.0"'],
    ["lts", '"22.3.0"'],
    ["v22.3.0", '"22.3.0"'],
    ["99", 'Image.fromRegistry("node:99-slim")'],
    [null, '"22.3.0"'],
  ])("refuses the version %s", (version, hint) => {
    for (const call of [
      () => Image.node(version as never),
      () => Image.node({ version: version as never }),
    ]) {
      expect(thrown(call)).toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
        hint: expect.stringContaining(hint),
        location: { file: import.meta.filename },
      });
    }
  });

  it("refuses options that it has no use for", () => {
    expect(thrown(() => Image.node({ env: {} } as never))).toMatchObject({
      code: "ERR_KILN_UNKNOWN_OPTION",
      hint: "It takes: name, forceBuild, version.",
    });
  });
});

describe("images of this machine", () => {
  it.each([
    ["fromRootfs", Image.fromRootfs("./root.tar"), { kind: "rootfs", path: "./root.tar" }],
    ["fromId", Image.fromId(id), { kind: "stored", name: id }],
    ["fromName", Image.fromName("app"), { kind: "stored", name: "app:latest" }],
    ["fromName with a tag", Image.fromName("app:v1.2"), { kind: "stored", name: "app:v1.2" }],
  ])("are bases: %s", (_title, image, need) => {
    const { needs } = needsWith(image);
    expect(needs.bases).toMatchObject([{ id: "0.base", ...need, location: { file: import.meta.filename } }]);
    const plan = planOf(image.env({ B: "2" }), {}, { Env: ["A=1"] });
    expect(plan.config.config?.Env).toEqual(["A=1", "B=2"]);
    expect(plan.layouts).toEqual(["0.base"]);
  });

  const wrong: readonly (readonly [string, () => unknown, string, string])[] = [
    ["no path", () => Image.fromRootfs(""), "ERR_KILN_INVALID_ARGUMENT", "rootfs.tar.gz"],
    ["a name for an id", () => Image.fromId("app:v1"), "ERR_KILN_INVALID_DIGEST", "Image.fromName"],
    ["a short id", () => Image.fromId("sha256:abc"), "ERR_KILN_INVALID_DIGEST", "64 hexadecimal"],
    [
      "a registry's name",
      () => Image.fromName("ghcr.io/me/app"),
      "ERR_KILN_INVALID_REFERENCE",
      "plain names",
    ],
    ["an id of Modal's", () => Image.fromName("im-123"), "ERR_KILN_INVALID_REFERENCE", "im-"],
    ["a long name", () => Image.fromName("a".repeat(65)), "ERR_KILN_INVALID_REFERENCE", "my-image"],
    ["an empty tag", () => Image.fromName("a:"), "ERR_KILN_INVALID_REFERENCE", "my-image"],
    ["no name", () => Image.fromName(undefined as never), "ERR_KILN_INVALID_REFERENCE", "my-image"],
  ];
  it.each(wrong)("are refused for %s", (_title, call, code, hint) => {
    expect(thrown(call)).toMatchObject({
      code,
      hint: expect.stringContaining(hint),
      location: { file: import.meta.filename },
    });
  });

  it("are not Modal's", () => {
    expect(thrown(() => Image.fromName("app").toModalLayers())).toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringContaining("fromName"),
    });
  });
});

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { marshal, mkfile, scratch } from "../../../src/llb/index.js";
import { Client, dockerTar, localDir, ociLayout, ociTar } from "../../../src/solver/index.js";
import { packStagedTar, removeStaged, stagedTar } from "../../../src/solver/staged-tar.js";
import { FakeBuildKit, FakeRefusal } from "../../../src/testing/index.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-staged-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

describe("an OCI tar that is packed here", () => {
  it("is the first that goes to a file, where no layout is asked for", () => {
    const file = ociTar("/out/image.tar", { name: "n" });
    expect(stagedTar([localDir("d"), file, ociTar("/out/second.tar")])).toMatchObject({
      output: file,
      layout: { type: "oci-layout", dir: expect.stringMatching(/^\/out\/\.image\.tar\..+\.tmp$/) },
    });
    expect(stagedTar([file, ociLayout("d")])).toBeUndefined();
    expect(stagedTar([ociTar(() => undefined), dockerTar("/out/docker.tar")])).toBeUndefined();
  });

  it("replaces what was there when it is whole, and leaves nothing beside it", async () => {
    const target = join(dir, "image.tar");
    writeFileSync(target, "before");
    const staged = stagedTar([ociTar(target)]);
    if (staged === undefined) throw new Error("not staged");
    mkdirSync(join(staged.layout.dir, "blobs/sha256"), { recursive: true });
    writeFileSync(join(staged.layout.dir, "blobs/sha256/aa"), Buffer.alloc(3_000_000, 1));
    writeFileSync(join(staged.layout.dir, "index.json"), "{}");
    const half = packStagedTar(staged, undefined);
    await expect(half).rejects.toMatchObject({ code: "ENOENT" });
    expect(readFileSync(target, "utf8")).toBe("before");
    writeFileSync(join(staged.layout.dir, "oci-layout"), "{}");
    await packStagedTar(staged, undefined);
    await removeStaged(staged);
    expect(readFileSync(target).length).toBeGreaterThan(3_000_000);
    expect(readdirSync(dir)).toEqual(["image.tar"]);
  });

  it("is asked for as a layout, and leaves nothing when the build fails", async () => {
    await using fake = await FakeBuildKit.start({
      solve() {
        throw new FakeRefusal(2, "no");
      },
    });
    await using client = await Client.connect(fake.address);
    const target = join(dir, "image.tar");
    const definition = marshal(scratch().file(mkfile("/a", "a")));
    await expect(client.solve(definition, { outputs: [ociTar(target)] }).result).rejects.toThrow("no");
    expect(fake.solves()[0]?.Exporters).toMatchObject([{ Type: "oci", Attrs: { tar: "false" } }]);
    expect(readdirSync(dir)).toEqual([]);
  });
});

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Engine, Image, localDir } from "../../src/index.js";
import { describeEachEngine } from "./support/engines.js";
import { ownCertificates } from "./support/own-certificates.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-bases-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

describeEachEngine("bases", ({ address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address, caBundle: ownCertificates });
  });
  afterAll(() => engine.close());

  /** What a chain's commands write into `/out`, by file; nothing else of the image. */
  async function outOf(image: Image, cwd = dir): Promise<(name: string) => string> {
    const out = mkdtempSync(join(dir, "out-"));
    const only = Image.fromScratch().copyFrom(image, "/out", "/");
    await engine.build(only, { outputs: [localDir(out)], cwd }).result;
    return (name) => readFileSync(join(out, name), "utf8");
  }

  it("debianSlim has compilers, pip, wheel and uv, and no trace of how they came", async () => {
    const image = Image.debianSlim("3.13").runCommands(
      [
        "mkdir /out",
        "gcc --version > /out/gcc",
        "gfortran --version > /out/gfortran",
        "make --version > /out/make",
        "pip list > /out/packages",
        "uv --version > /out/uv",
        "echo get debconf/frontend | debconf-communicate > /out/debconf",
        "find /root /run /var/lib/apt/lists /var/cache/apt /tmp -type f > /out/left",
      ].join(" && "),
      { caBundle: false },
    );
    const out = await outOf(image);
    expect(out("gcc")).toMatch(/^gcc/);
    expect(out("gfortran")).toMatch(/^GNU Fortran/);
    expect(out("make")).toMatch(/^GNU Make/);
    expect(out("packages")).toMatch(/^pip +26\.3$/m);
    expect(out("packages")).toMatch(/^wheel +0\.48\.0$/m);
    expect(out("uv")).toMatch(/^uv 0\.13\.9\b/);
    expect(out("debconf")).toBe("0 Noninteractive\n");
    const ofTheBase = /^\/root\/\.(?:bashrc|profile)$|\/lock$/;
    expect(
      out("left")
        .split("\n")
        .filter((path) => path !== "" && !ofTheBase.test(path)),
    ).toEqual([]);
  });
});

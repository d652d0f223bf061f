import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Engine, filesTar, Image, localDir } from "../../src/index.js";
import { describeOneEngine } from "./support/engines.js";
import { ownCertificates } from "./support/own-certificates.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-bases-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

describeOneEngine("older", "bases", ({ name, address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address, caBundle: ownCertificates });
  });
  afterAll(() => engine.close());

  /** What a chain's commands write into `/out`, by file; nothing else of the image. */
  async function outOf(image: Image, by = engine, cwd = dir): Promise<(name: string) => string> {
    const out = mkdtempSync(join(dir, "out-"));
    const only = Image.fromScratch().copyFrom(image, "/out", "/");
    await by.build(only, { outputs: [localDir(out)], cwd }).result;
    return (name) => readFileSync(join(out, name), "utf8");
  }

  it("debianSlim has compilers, pip, wheel and uv, and no trace of how they came", {
    timeout: 420_000,
  }, async () => {
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

  it("fromRegistry runs setup lines before the first step, with the config that they make", async () => {
    const image = Image.fromRegistry("busybox:latest", {
      env: { ONCE: "for the lines" },
      setupDockerfileCommands: ["ENV KEPT=yes", "RUN mkdir /out && echo $ONCE > /out/once", "WORKDIR /out"],
    }).runCommands('echo "$KEPT $ONCE $PWD" > /out/after');
    const out = await outOf(image);
    expect(out("once")).toBe("for the lines\n");
    expect(out("after")).toBe("yes  /out\n");
  });

  it("fromRootfs, fromName and fromId start from what is on this machine", async () => {
    const tar = join(dir, `root-${name}.tar`);
    const busybox = Image.fromRegistry("busybox:latest").runCommands("mkdir /out && echo rootfs > /out/kind");
    await engine.build(busybox, { outputs: [filesTar(tar)] }).result;
    const fromTar = Image.fromRootfs(tar).env({ KIND: "published" });
    expect((await outOf(fromTar))("kind")).toBe("rootfs\n");
    await using own = await Engine.connect({ host: address, imageStore: join(dir, `store-${name}`) });
    const published = fromTar.runCommands("echo $KIND >> /out/kind");
    const { digest } = await own.build(published, { publish: "app:v1" }).result;
    if (digest === undefined) throw new Error("the build has no digest");
    for (const base of [Image.fromName("app:v1"), Image.fromId(digest)]) {
      const next = base.runCommands('cat /out/kind > /out/next; echo "and $KIND" >> /out/next');
      expect((await outOf(next, own))("next")).toBe("rootfs\npublished\nand published\n");
    }
    await expect(own.build(Image.fromName("app:v2")).result).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
      location: { file: import.meta.filename },
    });
  });

  it("addLocalPythonSource brings modules that the image's Python imports, and only Python", async () => {
    const project = mkdtempSync(join(dir, "project-"));
    const files = {
      "app/__init__.py": "from .part import name",
      "app/part.py": "name = 'app'",
      "app/data.json": "{}",
      "app/.venv/lib/x.py": "",
      "app/__pycache__/y.py": "",
      "src/space/inner/tool.py": "name = 'tool'",
      "single.py": "name = 'single'",
    };
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(project, path)), { recursive: true });
      writeFileSync(join(project, path), text);
    }
    const image = Image.fromRegistry("python:3.13-slim")
      .addLocalPythonSource("app", "single", "space.inner", { copy: true })
      .runCommands(
        "mkdir /out && cd /tmp",
        "python -c 'import app, single, space.inner.tool as tool; print(app.name, single.name, tool.name)' > /out/names",
        "find /root -name '*.json' -o -path '*/.venv*' -o -name y.py > /out/others",
      );
    const out = await outOf(image, engine, project);
    expect(out("names")).toBe("app single tool\n");
    expect(out("others")).toBe("");
    await expect(
      engine.build(image.addLocalPythonSource("missing", { copy: true }), { cwd: project }).result,
    ).rejects.toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
      message: expect.stringContaining("src/missing.py"),
      location: { file: import.meta.filename },
    });
  });
});

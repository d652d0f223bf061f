import { describe, expect, it } from "vitest";
import { builderVersion } from "../../../src/image/builder-version.js";
import { Image } from "../../../src/image/image.js";
import { needsOf } from "../../../src/image/needs-of.js";
import { commandsOf, modalLines, thrown } from "./step-support.js";

const base = Image.fromRegistry("python");
const { version, wheels } = builderVersion().uv;

describe("uvPipInstall", () => {
  it.each([
    ["a flag", () => base.uvPipInstall("-U"), "extraOptions"],
    [
      "one path for requirements",
      () => base.uvPipInstall({ requirements: "r.txt" as never }),
      'requirements: ["r.txt"]',
    ],
    ["an empty path", () => base.uvPipInstall({ requirements: [""] }), "requirements.txt"],
    ["no version", () => base.uvPipInstall("six", { uvVersion: "latest" }), 'uvVersion: "0.9.1"'],
    ["a number for a version", () => base.uvPipInstall("six", { uvVersion: 0.9 as never }), "0.9.1"],
    ["an unknown place for uv", () => base.uvPipInstall("six", { uvFrom: "pypi" as never }), undefined],
  ])("refuses %s at the call", (_title, call, hint) => {
    const error = thrown(call);
    expect(error.code).toBe("ERR_KILN_INVALID_ARGUMENT");
    if (hint !== undefined) expect(error.hint).toContain(hint);
    expect(error.location?.file).toBe(import.meta.filename);
  });

  it("adds no step without packages and files", () => {
    expect(base.uvPipInstall()).toBe(base);
    expect(base.uvPipInstall({ requirements: [] })).toBe(base);
    expect(base.uvPipInstall([], { uvVersion: "0.9.1" })).toBe(base);
    expect(base.uvPipInstall({ requirements: ["r.txt"] }).steps).toHaveLength(2);
  });

  it("installs with the uv that the builder version pins by the hashes of its wheels", () => {
    const { scripts, shown, caches, mounted, env } = commandsOf(base.uvPipInstall("pandas==2.2.0", "numpy"));
    expect(shown).toEqual(["uv pip install --compile-bytecode --link-mode=copy numpy pandas==2.2.0"]);
    expect(scripts[0]).toContain(
      '"$uv" pip install --python "$py" --compile-bytecode --link-mode=copy numpy pandas==2.2.0',
    );
    expect(scripts[0]).toContain("--require-hashes");
    expect(caches).toEqual([
      "/root/.cache/pip kiln-pip-cache-linux/amd64",
      "/root/.cache/uv kiln-uv-cache-linux/amd64",
      `/run/kiln/uv kiln-uv-${version}-linux/amd64`,
    ]);
    expect(mounted.get("/file")).toBe(
      `uv==${version} \\\n    ${wheels.map((hash) => `--hash=sha256:${hash}`).join(" \\\n    ")}\n`,
    );
    expect(env[0]).toEqual(
      expect.arrayContaining(["UV_BREAK_SYSTEM_PACKAGES=1", "UV_PYTHON_DOWNLOADS=never"]),
    );
  });

  it("takes another uv without hashes", () => {
    const { scripts, caches, mounted } = commandsOf(base.uvPipInstall("six", { uvVersion: "0.9.1" }));
    expect(mounted.get("/file")).toBe("uv==0.9.1\n");
    expect(scripts[0]).not.toContain("--require-hashes");
    expect(caches).toContain("/run/kiln/uv kiln-uv-0.9.1-linux/amd64");
    const pinned = commandsOf(base.uvPipInstall("six", { uvVersion: version }));
    expect(pinned.digests).toEqual(commandsOf(base.uvPipInstall("six")).digests);
  });

  it.each([
    [{}, version],
    [{ uvVersion: "0.9.1" }, "0.9.1"],
  ])("needs the image of uv if it is asked for: %j", (options, tag) => {
    const image = base.uvPipInstall("six", { uvFrom: "image", ...options });
    expect(needsOf(image).bases.at(-1)).toMatchObject({ id: "1.uv", ref: `ghcr.io/astral-sh/uv:${tag}` });
    expect(needsOf(base.uvPipInstall("six")).bases).toHaveLength(1);
  });

  it("mounts requirements files, and names them first", () => {
    const image = base.uvPipInstall("six", { requirements: ["a/r.txt", "b/r.txt"], pre: true });
    const { shown, mounted } = commandsOf(image, { "a/r.txt": "idna\n", "b/r.txt": "attrs\n" });
    expect(shown).toEqual([
      "uv pip install --compile-bytecode --link-mode=copy --prerelease allow --requirements /run/kiln/requirements/0/r.txt --requirements /run/kiln/requirements/1/r.txt six",
    ]);
    expect(mounted.get("/dir/0/r.txt")).toBe("idna\n");
    expect(mounted.get("/dir/1/r.txt")).toBe("attrs\n");
  });
});

describe("Modal's rendering of uvPipInstall", () => {
  const start = "RUN /.uv/uv pip install --python $(command -v python) --compile-bytecode";

  it("has the seed's lines", () => {
    expect(modalLines(base.uvPipInstall("torch<3"))).toEqual([
      "COPY --from=ghcr.io/astral-sh/uv:latest /uv /.uv/uv",
      `${start} 'torch<3'`,
    ]);
    expect(modalLines(base.uvPipInstall("pandas==2.2.0", "numpy")).at(-1)).toBe(
      `${start} numpy pandas==2.2.0`,
    );
  });

  it("has all options, and files by their numbers", () => {
    const image = base.uvPipInstall("six", {
      requirements: ["test/r.txt", "r.txt"],
      findLinks: "https://example.com/links",
      indexUrl: "https://example.com/a b",
      extraIndexUrl: "https://example.com/c",
      pre: true,
      extraOptions: "--no-deps",
      uvVersion: "0.9.1",
    });
    const layer = image.toModalLayers().at(-1);
    expect(layer?.commands).toEqual([
      "FROM base",
      "COPY --from=ghcr.io/astral-sh/uv:0.9.1 /uv /.uv/uv",
      "COPY /.0_r.txt /.uv/0/r.txt",
      "COPY /.1_r.txt /.uv/1/r.txt",
      `${start} --find-links https://example.com/links --index-url 'https://example.com/a b' --extra-index-url https://example.com/c --prerelease allow --no-deps --requirements /.uv/0/r.txt --requirements /.uv/1/r.txt six`,
    ]);
    expect(layer?.contextFiles).toEqual({ "/.0_r.txt": "test/r.txt", "/.1_r.txt": "r.txt" });
  });
});

import { describe, expect, it } from "vitest";
import { Image } from "../../../../src/image/image.js";
import { pinOf } from "../../../../src/image/lint/rules/unpinned-package.js";
import type { PackageTrait } from "../../../../src/image/step-traits.js";
import { base, dockerfile, found, installing, lines, sayingOf } from "./chains.js";

const digest = `sha256:${"b".repeat(64)}`;

describe("unpinned-package", () => {
  it.each<readonly [PackageTrait["manager"], string, string]>([
    ["pip", "torch", "none"],
    ["pip", "torch<3", "range"],
    ["pip", "torch~=2.1", "range"],
    ["pip", "torch==2.*", "range"],
    ["pip", "torch!=2.0", "range"],
    ["pip", "torch==2.1.0", "exact"],
    ["pip", "torch===2.1.0", "exact"],
    ["pip", "torch >=2, ==2.1.0", "exact"],
    ["pip", "diffusers[torch]", "none"],
    ["pip", "diffusers[torch]==0.30.0 ; python_version < '3.13'", "exact"],
    ["pip", "torch; python_version == '3.13'", "none"],
    ["pip", "./wheels/a.whl", "exact"],
    ["pip", "a @ https://example.com/a-1.0-py3-none-any.whl", "exact"],
    ["pip", "git+https://github.com/a/b", "none"],
    ["pip", "b @ git+https://github.com/a/b@main", "none"],
    ["pip", `b @ git+https://github.com/a/b@${"0a".repeat(20)}#subdirectory=x`, "exact"],
    ["npm", "left-pad", "none"],
    ["npm", "left-pad@latest", "none"],
    ["npm", "left-pad@^1.3.0", "range"],
    ["npm", "left-pad@1.x", "range"],
    ["npm", "left-pad@1", "range"],
    ["npm", "left-pad@1.3.0", "exact"],
    ["npm", "@types/node", "none"],
    ["npm", "@types/node@20.1.2-beta.1", "exact"],
    ["npm", "pad@npm:left-pad@1.3.0", "exact"],
    ["npm", "pad@npm:left-pad", "none"],
    ["npm", "owner/name", "none"],
    ["npm", `owner/name#${"0a".repeat(20)}`, "exact"],
    ["npm", "git+https://github.com/a/b.git#main", "none"],
    ["npm", "https://example.com/a.tgz", "exact"],
    ["npm", "./local", "exact"],
    ["conda", "numpy", "none"],
    ["conda", "conda-forge::numpy", "none"],
    ["conda", "numpy=1.26", "exact"],
    ["conda", "numpy==1.26.4", "exact"],
    ["conda", "numpy=1.26.4=py313h1", "exact"],
    ["conda", "numpy=1.26.*", "range"],
    ["conda", "numpy>=1.2", "range"],
    ["conda", "numpy >=1.2,<2", "range"],
    ["apt", "git", "none"],
    ["apt", "git=1:2.39.*", "exact"],
    ["apt", "git/bookworm-backports", "exact"],
  ])("takes %s's %s for %s", (manager, spec, expected) => {
    expect(pinOf({ manager, spec })).toBe(expected);
  });

  it("says it once a step, manager and kind, and lists what is meant", () => {
    const image = installing(
      base,
      "pip",
      "numpy",
      "torch<3",
      "six==1.16.0",
      "a",
      "b",
      "c",
      "d",
      "e",
    ).aptInstall("git");
    expect(lines(found(image, "unpinned-package"))).toEqual([
      "warning 1: numpy, a, b, c, d and 1 more: no version is named, so another build may install another one",
      "info 1: torch<3: a range of versions, of which another build may choose another one",
      "info 2: git: no version is named, so another build may install another one",
    ]);
  });

  it("says nothing where all are pinned", () => {
    expect(found(installing(base, "npm", "a@1.0.0").aptInstall("git=1:2.*"), "unpinned-package")).toEqual([]);
  });
});

describe("unpinned-base", () => {
  it.each([
    ["debian", "warning 0: debian is whatever release is newest on the day of the build"],
    ["debian:latest", "warning 0: debian:latest is whatever release is newest on the day of the build"],
    ["debian:12", "info 0: debian:12 is whatever its tag points to on the day of the build"],
  ])("finds %s", (ref, message) => {
    expect(lines(found(Image.fromRegistry(ref), "unpinned-base"))).toEqual([message]);
  });

  it("says nothing of a digest, and of bases without a name", () => {
    expect(found(Image.fromRegistry(`debian@${digest}`), "unpinned-base")).toEqual([]);
    expect(found(Image.fromScratch(), "unpinned-base")).toEqual([]);
    expect(found(base.step(sayingOf, { baseRef: "No Reference" }), "unpinned-base")).toEqual([]);
  });

  it("finds the base of an image that files are copied of", () => {
    const image = base.copyFrom(Image.fromRegistry("nginx"), "/etc/nginx");
    expect(found(image, "unpinned-base")).toMatchObject([
      { step: 1, id: "fromRegistry", title: "fromRegistry nginx", location: { file: import.meta.filename } },
    ]);
    expect(found(image, "unpinned-base")[0]).not.toHaveProperty("fix");
  });

  const entry = (platform: string, of: string) => ({
    type: "image" as const,
    source: "docker-image://docker.io/library/debian:12",
    platform,
    digest: of,
  });

  it("writes the digest of a lock into the chain", () => {
    const image = Image.fromRegistry("debian:12").runCommands("true");
    const lock = { sources: [entry("linux/amd64", digest), entry("linux/arm64", digest)] };
    const [finding] = found(image, "unpinned-base", { lock });
    expect(finding).toMatchObject({ severity: "info", hint: expect.stringContaining(`debian:12@${digest}`) });
    const fixed = finding?.fix?.();
    expect(fixed?.toSnapshot()).toBe(
      Image.fromRegistry(`docker.io/library/debian:12@${digest}`).runCommands("true").toSnapshot(),
    );
    expect(fixed?.steps[0]?.location).toEqual(image.steps[0]?.location);
    expect(fixed?.steps[0]?.needs({} as never).bases).toEqual({
      base: { kind: "registry", ref: `docker.io/library/debian:12@${digest}` },
    });
    expect(found(fixed ?? image, "unpinned-base", { lock })).toEqual([]);
  });

  it("has no fix where platforms have digests of their own, or the lock does not have the base", () => {
    const lock = {
      sources: [entry("linux/amd64", digest), entry("linux/arm64", `sha256:${"c".repeat(64)}`)],
    };
    const [finding] = found(Image.fromRegistry("debian:12"), "unpinned-base", { lock });
    expect(finding).not.toHaveProperty("fix");
    expect(finding?.hint).toContain("another digest for each platform");
    expect(lines(found(Image.fromRegistry("debian"), "unpinned-base", { lock }))).toHaveLength(1);
  });
});

describe("apt-without-cleanup", () => {
  const left = "warning 1: apt-get leaves its package lists in the layer, for nobody to use";
  it.each([
    ["a command", base.runCommands("apt-get update && apt-get install -y git"), [left]],
    ["several lines", base.runCommands("apt-get update\napt-get -qq -y install git"), [left]],
    [
      "a Dockerfile's lines",
      dockerfile(base, "RUN apt-get update && \\", "# why", "  apt-get \\", "install git"),
      [left],
    ],
    ["a continued script", base.runCommands("apt-get update && apt-get \\\n  install -y git"), [left]],
    [
      "a Dockerfile's continued lines",
      dockerfile(base, "RUN apt-get update && \\\n# why\n  apt-get install -y git"),
      [left],
    ],
    ["a heredoc", dockerfile(base, "RUN <<EOF\napt-get update\napt-get install -y git\nEOF\nCMD x"), [left]],
    [
      "a cleanup in another layer",
      base.runCommands("apt-get update && apt-get install -y git", "rm -rf /var/lib/apt/lists/*"),
      [left],
    ],
    [
      "an update of its own",
      base.runCommands("apt-get update", "apt-get install -y git && rm -rf /var/lib/apt/lists/*"),
      [
        "warning 1: apt-get update in a command of its own: while that is cached, what installs after it uses old lists",
      ],
    ],
  ])("finds %s", (_title, image, expected) => {
    expect(lines(found(image, "apt-without-cleanup"))).toEqual(expected);
  });

  it.each([
    [
      "a cleanup",
      base.runCommands("apt-get update && apt-get install -y git && rm -rf /var/lib/apt/lists/*"),
    ],
    [
      "cache mounts",
      dockerfile(
        base,
        "RUN --mount=type=cache,target=/var/lib/apt --mount=type=cache,target=/var/cache/apt apt-get update && apt-get install -y git",
      ),
    ],
    ["aptInstall", base.aptInstall("git")],
    ["other programs", base.runCommands("echo apt", "adapt-get install x", "npm install && npm update")],
  ])("says nothing of %s", (_title, image) => {
    expect(found(image, "apt-without-cleanup")).toEqual([]);
  });
});

describe("layer-limit", () => {
  const chain = (layers: number) =>
    base.runCommands(Array.from({ length: layers }, (_, index) => `echo ${index}`));
  it("warns from 110 layers, at the step that reaches it, and refuses more than 127", () => {
    expect(found(chain(109).env({ A: "1" }), "layer-limit")).toEqual([]);
    expect(
      lines(found(chain(100).env({ A: "1" }).runCommands(Array(10).fill("true")), "layer-limit")),
    ).toEqual(["warning 3: the chain makes 110 layers, beside those of the base; 127 can be stacked"]);
    expect(found(chain(127), "layer-limit")).toMatchObject([{ severity: "warning" }]);
    expect(found(chain(128), "layer-limit")).toMatchObject([{ severity: "error" }]);
  });

  it("counts the base's layers, copies too, and not those of other images", () => {
    expect(lines(found(chain(99), "layer-limit", { baseLayers: 11 }))).toEqual([
      "warning 1: the chain makes 110 layers, 11 of them of the base; 127 can be stacked",
    ]);
    const copies = chain(108).copyFrom(chain(120), "/a").addLocalDir("a", "/b", { copy: true });
    expect(lines(found(copies, "layer-limit"))).toEqual([
      "warning 3: the chain makes 110 layers, beside those of the base; 127 can be stacked",
    ]);
  });
});

describe("cd-has-no-effect", () => {
  it.each([
    ["cd /app", "workdir"],
    ["  cd /app ; ", "workdir"],
    ["export A=1", "env({"],
    ["source ~/.bashrc", "&&"],
    [". /opt/env.sh", "&&"],
    ["conda activate x", "&&"],
    ["umask 022", "&&"],
  ])("finds %s", (command, hint) => {
    expect(found(base.runCommands("true", command), "cd-has-no-effect")).toMatchObject([
      { step: 1, hint: expect.stringContaining(hint) },
    ]);
    expect(found(dockerfile(base, `RUN ${command}`), "cd-has-no-effect")).toHaveLength(1);
  });

  it.each(["cd /app && make", "cd /app\nmake", "(cd /app)", "./configure", "exporter run", "cd /a; make"])(
    "says nothing of %s",
    (command) => {
      expect(found(base.runCommands(command), "cd-has-no-effect")).toEqual([]);
    },
  );
});

describe("pip-leaves-cache", () => {
  it.each([
    "pip install torch",
    "python3 -m pip install -r x.txt",
    "cd /a && /venv/bin/pip3.12 -q install x",
  ])("finds %s", (command) => {
    expect(found(base.runCommands(command), "pip-leaves-cache")).toHaveLength(1);
  });

  it.each([
    ["--no-cache-dir", base.runCommands("pip install --no-cache-dir torch")],
    ["a purge", base.runCommands("pip install torch && rm -rf /root/.cache/pip")],
    ["the image's environment", base.env({ PIP_NO_CACHE_DIR: "1" }).runCommands("pip install torch")],
    ["the step's", base.runCommands("pip install torch", { env: { PIP_NO_CACHE_DIR: "1" } })],
    ["a cache mount", dockerfile(base, "RUN --mount=type=cache,target=/root/.cache pip install torch")],
    ["uv and others", base.runCommands("uv pip install x", "pipx install y", "pip list; npm install")],
  ])("says nothing with %s", (_title, image) => {
    expect(found(image, "pip-leaves-cache")).toEqual([]);
  });
});

describe("curl-pipe-shell", () => {
  it.each([
    "curl -fsSL https://example.com/i.sh | sh",
    "wget -qO- https://example.com/i.sh | sudo -E bash -s -- -y",
    "curl https://example.com/x | /usr/bin/env python3 -",
  ])("finds %s", (command) => {
    expect(found(base.runCommands(command), "curl-pipe-shell")).toHaveLength(1);
  });

  it.each([
    ["pipefail", base.runCommands("set -o pipefail; curl https://example.com/i.sh | sh")],
    [
      "a shell with pipefail",
      base.shell(["/bin/bash", "-o", "pipefail", "-c"]).runCommands("curl https://example.com/i.sh | sh"),
    ],
    [
      "no shell",
      base.runCommands("curl https://example.com/a.tgz | tar xz", "curl -o a https://example.com; sh a"),
    ],
  ])("says nothing with %s", (_title, image) => {
    expect(found(image, "curl-pipe-shell")).toEqual([]);
  });
});

describe("path-replaced", () => {
  it("finds a PATH without what was in it", () => {
    expect(found(base.env({ PATH: "/opt/bin" }), "path-replaced")).toMatchObject([
      { severity: "warning", hint: 'Write PATH: "/opt/bin:$PATH".' },
    ]);
  });

  // biome-ignore lint/suspicious/noTemplateCurlyInString: the syntax under test
  it.each(["/opt/bin:$PATH", "${PATH}:/opt/bin", "/opt/bin:/usr/bin:/bin"])("says nothing of %s", (PATH) => {
    expect(found(base.env({ PATH }), "path-replaced")).toEqual([]);
  });
});

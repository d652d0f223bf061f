import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Engine, Image, localDir, registry as registryOutput } from "../../src/index.js";
import { describeOneEngine, registry } from "./support/engines.js";
import { readRegistryImage } from "./support/registry-image.js";

// There is no micromamba to be had from Debian, PyPI or npm: a stand-in records how it is called, by a shell that stands
// in for the one of the image. What a real one makes of it is not shown here.

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-micromamba-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const standIn = [
  "mkdir -p /usr/local/bin /opt/conda",
  String.raw`printf '#!/bin/sh\nexport ACTIVATED=yes\nexec /bin/sh -c "$1"\n' > /usr/local/bin/_dockerfile_shell.sh`,
  String.raw`printf '#!/bin/sh\necho "$* [$(id -u) $ACTIVATED $MAMBA_DOCKERFILE_ACTIVATE]" >> /opt/conda/calls\ntouch $CONDA_PKGS_DIRS/downloaded\n' > /bin/micromamba`,
  String.raw`printf 'for a; do case $a in /*) cat $a >> /opt/conda/specs;; esac; done\n' >> /bin/micromamba`,
  "chmod +x /usr/local/bin/_dockerfile_shell.sh /bin/micromamba",
].join(" && ");

describeOneEngine("older", "micromamba, by a stand-in", ({ address }) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await Engine.connect({ host: address, env: {} });
    const base = Image.fromRegistry("busybox:latest")
      .runCommands(standIn)
      .env({ MAMBA_ROOT_PREFIX: "/opt/conda" })
      .user("1000");
    const name = `${registry()}/mambaorg/micromamba:2.1.1-debian12-slim`;
    await engine.build(base, { outputs: [registryOutput(name)] }).result;
  });
  afterAll(() => engine.close());

  it("installs Python, then packages in their order and a spec file's, as root in the activated base environment", async () => {
    writeFileSync(join(dir, "environment.yml"), "dependencies: [numpy]\n");
    const image = Image.micromamba({ pythonVersion: "3.12" })
      .micromambaInstall("pymc==5.10.4", "numpyro==0.13.2", { channels: ["conda-forge"] })
      .micromambaInstall("python >=3.11", {
        specFile: "environment.yml",
        channels: ["a", "https://c.example/b"],
      })
      .runCommands('echo "$ACTIVATED" > /after');
    const out = mkdtempSync(join(dir, "out-"));
    const ref = `${registry()}/micromamba/${Math.random().toString(36).slice(2)}:1`;
    await engine.build(image, { cwd: dir, outputs: [localDir(out), registryOutput(ref)] }).result;
    expect(readFileSync(join(out, "opt/conda/calls"), "utf8").trim().split("\n")).toEqual([
      "install -n base -y python=3.12 pip -c conda-forge [0 yes 1]",
      "install --yes -n base -c conda-forge pymc==5.10.4 numpyro==0.13.2 [0 yes 1]",
      "install --yes -n base -f /run/kiln/environment.yml -c a -c https://c.example/b python >=3.11 [0 yes 1]",
    ]);
    expect(readFileSync(join(out, "opt/conda/specs"), "utf8")).toContain("dependencies: [numpy]");
    expect(readFileSync(join(out, "after"), "utf8")).toBe("yes\n");
    const { config, files } = await readRegistryImage(ref);
    expect(config.config).toMatchObject({
      User: "root",
      Shell: ["/usr/local/bin/_dockerfile_shell.sh"],
      Cmd: ["sleep", "172800"],
      Env: expect.arrayContaining(["MAMBA_ROOT_PREFIX=/opt/conda", "MAMBA_DOCKERFILE_ACTIVATE=1"]),
    });
    const residue = [...files.keys()].filter((path) => /^(?:run|environment|tmp\/)|downloaded/.test(path));
    expect(residue).toEqual([]);
  });
});

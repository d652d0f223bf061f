import { expect, it } from "vitest";
import { compile, Image, needsOf, Secret } from "../../../src/index.js";
import type { BaseFact, Facts } from "../../../src/model/facts.js";

// The chains of Modal's own pages, word for word, as the plans that Kiln makes of them. Where a chain needs something that
// no test machine has (a GPU model, a foreign registry, conda's packages), this is all that is shown of it.

const digest = `sha256:${"a".repeat(64)}`;

/** Facts for whatever a chain needs: bases of one kind, trees by their ids, files without content. */
function factsOf(image: Image): Facts {
  const needs = needsOf(image);
  const config = {
    architecture: "amd64",
    os: "linux",
    config: { Env: ["PATH=/usr/local/bin:/usr/bin:/bin"], WorkingDir: "/" },
  };
  const bases = needs.bases.map(({ id, ...need }): readonly [string, BaseFact] => [
    id,
    need.kind === "registry"
      ? { kind: "registry", ref: `${need.ref}@${digest}`, digest, config }
      : { kind: "oci-layout", store: "store", digest, config },
  ]);
  return {
    platform: { os: "linux", architecture: "amd64" },
    builderVersion: "2026.11",
    bases: new Map(bases),
    trees: new Map(needs.trees.map(({ id }) => [id, { name: `tree-${id}`, sharedKeyHint: `key-${id}` }])),
    files: new Map(needs.files.map(({ id }) => [id, new Uint8Array()])),
    listings: new Map(needs.listings.map(({ id }) => [id, ["local_module/__init__.py"]])),
    secrets: new Map(needs.secrets.map(({ id }) => [id, [{ env: "TOKEN", id: "kiln.env.TOKEN" }]])),
    frontends: new Map(),
    caBundles: new Map(),
    sourceDateEpoch: undefined,
    localUniqueId: "unique",
  };
}

const secret = Secret.fromEnv("REGISTRY_USERNAME", "REGISTRY_PASSWORD");

it.each([
  [
    "S1",
    Image.debianSlim({ pythonVersion: "3.13" })
      .aptInstall("git")
      .uvPipInstall("torch<3")
      .env({ HALT_AND_CATCH_FIRE: "0" })
      .runCommands("git clone https://github.com/modal-labs/agi"),
  ],
  ["S2", Image.debianSlim()],
  ["S3", Image.micromamba()],
  ["S4", Image.fromRegistry("huanjason/scikit-learn")],
  ["S4 of NGC", Image.fromRegistry("nvcr.io/nvidia/pytorch:22.12-py3")],
  ["S6", Image.debianSlim({ pythonVersion: "3.12" }).uvPipInstall("pandas==2.2.0", "numpy")],
  ["S7", Image.debianSlim({ pythonVersion: "3.12" }).pipInstall("diffusers[torch]", "transformers")],
  ["S9", Image.debianSlim().aptInstall("git", "curl")],
  ["S10", Image.debianSlim().env({ PORT: "6443" })],
  ["S14", Image.debianSlim().addLocalDir("/user/erikbern/.aws", "/root/.aws", { copy: true })],
  ["S15", Image.debianSlim().addLocalFile("config.json", "/root/config.json", { copy: true })],
  ["S17", Image.fromRegistry("me/private:1", { secret })],
  [
    "S18",
    Image.fromAwsEcr("000000000000.dkr.ecr.us-east-1.amazonaws.com/my-private-registry:my-version", {
      secret: Secret.fromEnv("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"),
    }),
  ],
  [
    "S19",
    Image.micromamba().micromambaInstall("pymc==5.10.4", "numpyro==0.13.2", { channels: ["conda-forge"] }),
  ],
  ["S20", Image.debianSlim().pipInstall("bitsandbytes", { gpu: "H100" })],
  ["S22", Image.debianSlim().aptInstall("git").pipInstall("slack-sdk", { forceBuild: true })],
])("%s becomes the plan that it was", (_name, image) => {
  expect(compile(image, factsOf(image)).toSnapshot()).toMatchSnapshot();
});

it("S16 finds the module among what the directory has", () => {
  const image = Image.debianSlim().addLocalPythonSource("local_module", { copy: true });
  const found = {
    files: new Map<string, Uint8Array>(),
    listings: new Map(needsOf(image).listings.map(({ id }) => [id, ["local_module/__init__.py"]])),
  };
  const needs = needsOf(image, { found });
  expect(needs.trees.map(({ path }) => path.replaceAll("\\", "/"))).toEqual(["local_module"]);
});

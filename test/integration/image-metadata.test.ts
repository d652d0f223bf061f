import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { marshal, mkfile, image as registryImage, type State, scratch } from "../../src/llb/index.js";
import {
  Client,
  dockerImage,
  localDir,
  multiPlatform,
  type Output,
  ociLayout,
  registry as registryOutput,
} from "../../src/solver/index.js";
import { inspectDockerImage } from "./support/docker-image.js";
import { describeEachEngine, registry } from "./support/engines.js";
import { readRegistryImage } from "./support/registry-image.js";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly architecture: string };
}
interface Manifest {
  readonly mediaType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly manifests?: readonly Descriptor[];
  readonly layers?: readonly Descriptor[];
  readonly config?: Descriptor;
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-metadata-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const shell = (script: string): string[] => ["/bin/sh", "-c", script];
const busybox = (): State => registryImage(`${registry()}/library/busybox:1.36`);

function blobOf(layout: string, digest: string): Manifest & Readonly<Record<string, unknown>> {
  return JSON.parse(readFileSync(join(layout, "blobs/sha256", digest.slice(7)), "utf8")) as never;
}

function topOf(layout: string): { descriptor: Descriptor; manifest: Manifest } {
  const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as Manifest;
  const [descriptor] = index.manifests ?? [];
  if (descriptor === undefined) throw new Error("the layout is empty");
  return { descriptor, manifest: blobOf(layout, descriptor.digest) };
}

describeEachEngine("what goes with an image", ({ name, address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());

  const newLayout = (): string => join(mkdtempSync(join(dir, "layout-")), "l");

  it("ExportAnnotations: puts annotations on manifests, descriptors and the index, by platform", async () => {
    const layout = newLayout();
    const platforms = ["amd64", "arm64"].map((architecture) => ({ os: "linux", architecture }));
    const annotations = [
      { key: "org.example.all", value: "m" },
      { key: "org.example.arm", value: "a", platform: { os: "linux", architecture: "arm64" } },
      { key: "org.example.index", value: "i", on: "index" as const },
      { key: "org.example.desc", value: "d", on: "manifest-descriptor" as const },
    ];
    const ref = `${registry()}/meta/annotated-${name}:1`;
    await client.build(
      async (gateway) =>
        multiPlatform(
          await Promise.all(
            platforms.map(async (platform) => {
              const state = scratch().file(mkfile("/arch", platform.architecture));
              return { platform, ref: (await gateway.solve({ definition: marshal(state) })).ref };
            }),
          ),
        ),
      {
        outputs: [
          ociLayout(layout, { annotations }),
          registryOutput(ref, { annotations, ociMediaTypes: true }),
        ],
      },
    ).result;
    const { manifest: index } = topOf(layout);
    expect(index.annotations).toMatchObject({ "org.example.index": "i" });
    const [amd, arm] = index.manifests ?? [];
    expect(amd?.annotations).toMatchObject({ "org.example.desc": "d" });
    expect(blobOf(layout, amd?.digest ?? "").annotations).toEqual({ "org.example.all": "m" });
    expect(blobOf(layout, arm?.digest ?? "").annotations).toEqual({
      "org.example.all": "m",
      "org.example.arm": "a",
    });
    const pushed = await fetch(`http://${registry()}/v2/meta/annotated-${name}/manifests/1`, {
      headers: { accept: "application/vnd.oci.image.index.v1+json" },
    });
    expect(((await pushed.json()) as Manifest).annotations).toMatchObject({ "org.example.index": "i" });
  });

  it("takes a plain record of annotations for the manifest of one image", async () => {
    const layout = newLayout();
    await client.solve(marshal(scratch().file(mkfile("/a", "a"))), {
      outputs: [ociLayout(layout, { annotations: { "org.example.a": "b" } })],
    }).result;
    expect(topOf(layout).manifest.annotations).toEqual({ "org.example.a": "b" });
  });

  for (const mode of ["min", "max"] as const) {
    it(`makes provenance of mode ${mode}`, async () => {
      const layout = newLayout();
      const secret = `hush-${name}-${mode}`;
      await client.solve(
        marshal(
          busybox()
            .run(shell(`test -s /s; echo ${mode} > /p`), { secrets: [{ id: "token", target: "/s" }] })
            .root(),
        ),
        {
          outputs: [ociLayout(layout)],
          attestations: { provenance: { mode, builderId: "https://example.com/kiln,me" } },
          secrets: { token: secret },
        },
      ).result;
      const { manifest: index } = topOf(layout);
      const attached = index.manifests?.find(
        ({ annotations }) => annotations?.["vnd.docker.reference.type"] === "attestation-manifest",
      );
      const layers = blobOf(layout, attached?.digest ?? "").layers ?? [];
      expect(layers.map(({ mediaType }) => mediaType)).toEqual(["application/vnd.in-toto+json"]);
      const statement = JSON.stringify(blobOf(layout, layers[0]?.digest ?? ""));
      expect(statement).toContain("https://example.com/kiln,me");
      expect(statement).toContain("busybox");
      expect(statement.includes("/bin/sh")).toBe(mode === "max");
      expect(statement).not.toContain(secret);
    });
  }

  it("makes a bill of materials with a scanner of one's own", async () => {
    const scanner = `${registry()}/meta/scanner-${name}:1`;
    const script =
      'printf \'{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document",' +
      '"predicate":{"name":"%s","files":"%s"}}\' "$LABEL" "$(ls $BUILDKIT_SCAN_SOURCE | tr "\\n" " ")" ' +
      '> "$BUILDKIT_SCAN_DESTINATION/found.spdx.json"';
    await client.solve(marshal(busybox()), {
      outputs: [registryOutput(scanner)],
      config: {
        os: "linux",
        architecture: "amd64",
        config: { Entrypoint: shell(script), Env: ["PATH=/bin"] },
        rootfs: { type: "layers", diff_ids: [] },
      },
    }).result;
    const layout = newLayout();
    await client.solve(marshal(scratch().file(mkfile("/scanned-file", name))), {
      outputs: [ociLayout(layout)],
      attestations: { sbom: { generator: scanner, parameters: { LABEL: "mine" } } },
    }).result;
    const { manifest: index } = topOf(layout);
    const attached = index.manifests?.find(
      ({ annotations }) => annotations !== undefined && "vnd.docker.reference.type" in annotations,
    );
    const layers = blobOf(layout, attached?.digest ?? "").layers ?? [];
    const statements = layers.map(({ digest }) => blobOf(layout, digest));
    const found = statements.find((one) => one["predicateType"] === "https://spdx.dev/Document");
    expect(found?.["predicate"]).toMatchObject({ files: "scanned-file " });
  });

  it("writes attestations beside the files of a local output", async () => {
    const out = mkdtempSync(join(dir, "files-"));
    await client.solve(marshal(scratch().file(mkfile("/a", "a"))), {
      outputs: [localDir(out, { attestationPrefix: "x-" })],
      attestations: { provenance: { filename: "how.json" } },
    }).result;
    expect(readdirSync(out).sort()).toEqual(["a", "x-how.json"]);
  });

  it("SourceDateEpochClamp: equal builds with rewritten times give equal images", async () => {
    const epoch = 1_700_000_000;
    const build = async (): Promise<string | undefined> => {
      const layout = newLayout();
      const step = busybox().run(shell("echo hello > /made"), { ignoreCache: true }).root();
      const { outputs } = await client.solve(marshal(step), {
        outputs: [ociLayout(layout, { rewriteTimestamp: true })],
        sourceDateEpoch: epoch,
      }).result;
      const { manifest } = topOf(layout);
      const config = blobOf(layout, manifest.config?.digest ?? "");
      expect(config["created"]).toBe("2023-11-14T22:13:20Z");
      return outputs[0]?.digest;
    };
    const first = await build();
    expect(await build()).toBe(first);
  });

  it("refuses by name what the daemon is too old for", async () => {
    const definition = marshal(scratch().file(mkfile("/a", "a")));
    const refused = async (options: Parameters<Client["solve"]>[1]): Promise<void> => {
      await expect(client.solve(definition, options).result).rejects.toMatchObject({
        code: "ERR_KILN_UNSUPPORTED",
      });
    };
    await refused({ compatibilityVersion: 20 });
    await refused({ outputs: [localDir(join(dir, "deleted"), { mode: "delete" })] });
    const { buildkitVersion } = await client.facts();
    const artifact: Output = ociLayout(newLayout(), { ociArtifact: true });
    const options = { outputs: [artifact], attestations: { provenance: true } };
    if (buildkitVersion === "0.13") await refused(options);
    else {
      await client.solve(definition, options).result;
      const { manifest } = topOf(artifact.type === "oci-layout" ? artifact.dir : "");
      const types = (manifest.manifests ?? []).map(({ digest }) =>
        String(
          (blobOf(artifact.type === "oci-layout" ? artifact.dir : "", digest) as { artifactType?: string })
            .artifactType,
        ),
      );
      expect(types).toContain("application/vnd.docker.attestation.manifest.v1+json");
    }
  });

  it("puts images into Docker's own store under several names, beside other outputs", async () => {
    const image = `kiln-store-${name}:${Date.now()}`;
    const pushed = `${registry()}/meta/beside-${name}:1`;
    const { outputs } = await client.solve(marshal(busybox().file(mkfile("/stored", name))), {
      outputs: [dockerImage([image, `${image}-too`]), registryOutput(pushed)],
      config: {
        os: "linux",
        architecture: "amd64",
        config: { Env: ["PATH=/bin", "A=b"], Entrypoint: ["/bin/cat"], Labels: { l: "m" } },
        rootfs: { type: "layers", diff_ids: [] },
      },
    }).result;
    const stored = await inspectDockerImage(address, `${image}-too`);
    expect(stored?.RepoTags).toEqual(expect.arrayContaining([image, `${image}-too`]));
    expect(stored?.Config).toMatchObject({ Entrypoint: ["/bin/cat"], Labels: { l: "m" } });
    expect(outputs[0]?.digest).toBe(stored?.Id);
    expect((await readRegistryImage(pushed)).digest).toBe(outputs[1]?.digest);
  });

  it("SessionExporter: chooses outputs from what was built, or is refused by an old daemon", async () => {
    const layout = newLayout();
    const chosen = client.build(
      async (gateway) => {
        const { ref } = await gateway.solve({ definition: marshal(scratch().file(mkfile("/a", name))) });
        return { ref, metadata: new Map([["frontend.wanted", "layout"]]) };
      },
      {
        chooseOutputs: ({ metadata, refs }) => {
          expect(refs).toHaveLength(1);
          const wanted = new TextDecoder().decode(metadata.get("frontend.wanted"));
          return wanted === "layout" ? [ociLayout(layout)] : [];
        },
      },
    );
    if ((await client.facts()).buildkitVersion === "0.13") {
      await expect(chosen.result).rejects.toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      return;
    }
    const { outputs } = await chosen.result;
    expect(outputs).toMatchObject([{ type: "oci", digest: topOf(layout).descriptor.digest }]);
  });

  it("SourcePolicy: denies, converts and refuses", async () => {
    const wanted = `${registry()}/library/never:1`;
    const rules = {
      rules: [
        {
          action: "convert" as const,
          selector: { identifier: `docker-image://${wanted}` },
          updates: { identifier: `docker-image://${registry()}/library/busybox:1.36` },
        },
      ],
    };
    const ref = `${registry()}/meta/converted-${name}:1`;
    await client.solve(marshal(registryImage(wanted)), {
      outputs: [registryOutput(ref)],
      sourcePolicy: rules,
    }).result;
    expect([...(await readRegistryImage(ref)).files.keys()]).toContain("bin/busybox");
    await expect(
      client.solve(marshal(busybox()), {
        sourcePolicy: { rules: [{ action: "deny", selector: { identifier: "docker-image://*" } }] },
        outputs: [localDir(mkdtempSync(join(dir, "denied-")))],
      }).result,
    ).rejects.toThrow(/denied|not allowed by policy/i);
    const viaGateway = client.build(
      async (gateway): Promise<undefined> => {
        const meta = await gateway.resolveSourceMeta(registryImage(wanted));
        expect(meta.source.identifier).toContain("busybox");
      },
      { sourcePolicy: rules },
    );
    await viaGateway.result;
  });
});

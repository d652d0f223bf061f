import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { extract } from "tar-stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Control } from "../../src/gen/moby/buildkit/v1/control_pb.js";
import { LLBBridge } from "../../src/gen/moby/buildkit/v1/frontend/gateway_pb.js";
import {
  MatchType,
  PolicyAction,
  type PolicySchema,
  type RuleSchema,
} from "../../src/gen/moby/buildkit/v1/sourcepolicy/policy_pb.js";
import {
  ociLayout as layoutSource,
  marshal,
  merge,
  mkfile,
  image as registryImage,
  type State,
  scratch,
  sourceMap,
} from "../../src/llb/index.js";
import { createClient } from "../../src/rpc/typed-client.js";
import {
  Client,
  dockerTar,
  filesTar,
  type GatewayReturn,
  localDir,
  ociLayout,
  ociTar,
  type RpcError,
  registry as registryOutput,
  SolveError,
} from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";
import { readRegistryImage } from "./support/registry-image.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-exports-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const busybox = (): State => registryImage(`${registry()}/library/busybox:1.36`);
const shell = (script: string): string[] => ["/bin/sh", "-c", script];

async function tarFiles(path: string): Promise<ReadonlyMap<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const reader = extract();
  reader.end(readFileSync(path));
  for await (const entry of reader) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    files.set(entry.header.name, Buffer.concat(chunks));
  }
  return files;
}

interface Json {
  readonly [key: string]: Json;
}
const json = (bytes: Uint8Array | undefined): Json => JSON.parse(Buffer.from(bytes ?? []).toString()) as Json;

// Named after the tests of BuildKit's own client that they re-create.
describeEachEngine("exports and refusals, as BuildKit's own client tests them", ({ name, address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());

  const id = `${name}-${Date.now()}`;
  const config = {
    os: "linux",
    architecture: "amd64",
    config: { Env: ["PATH=/bin", "A=b"], Cmd: ["/bin/sh"] },
    rootfs: { type: "layers" as const, diff_ids: [] },
  };

  it("BuildPushAndValidate: pushes config, history and layers with what was made", async () => {
    const ref = `${registry()}/peer/push-${id}:1`;
    const made = busybox()
      .run(shell(`mkdir -p /foo/sub; echo -n first > /foo/sub/bar; chmod 0741 /foo # ${id}`))
      .root()
      .run(shell("true"))
      .root()
      .run(shell("echo -n second > /foo/sub/baz"))
      .root();
    await client.solve(marshal(made), { outputs: [registryOutput(ref)], config }).result;
    const image = await readRegistryImage(ref);
    expect(image.config).toMatchObject({ os: "linux", config: { Env: ["PATH=/bin", "A=b"] } });
    const layers = image.manifest.layers.length;
    expect(image.config.rootfs?.diff_ids).toHaveLength(layers);
    expect(image.config.history?.filter(({ empty_layer }) => empty_layer !== true)).toHaveLength(layers);
    expect(image.config.history?.some(({ created_by }) => created_by?.includes("echo -n second"))).toBe(true);
    expect(image.files.get("foo")).toMatchObject({ type: "directory", mode: 0o741 });
    const digest = createHash("sha256").update("second").digest("hex");
    expect(image.files.get("foo/sub/baz")?.sha256).toBe(digest);
  });

  it("OCIExporter: writes layouts as tars, and Docker's manifest beside them for docker", async () => {
    for (const kind of ["oci", "docker"] as const) {
      const path = join(dir, `${kind}-${id}.tar`);
      const output =
        kind === "oci"
          ? ociTar(path, { name: "example.com/a:b" })
          : dockerTar(path, { name: "example.com/a:b" });
      await client.solve(marshal(busybox().file(mkfile("/new", id))), { outputs: [output], config }).result;
      const files = await tarFiles(path);
      expect(json(files.get("oci-layout"))).toEqual({ imageLayoutVersion: "1.0.0" });
      const [entry] = (
        json(files.get("index.json")) as unknown as { manifests: { digest: string; mediaType: string }[] }
      ).manifests;
      const blob = (digest: string): Buffer | undefined => files.get(`blobs/sha256/${digest.slice(7)}`);
      const manifest = json(blob(entry?.digest ?? "")) as unknown as {
        config: { digest: string };
        layers: { digest: string; mediaType: string }[];
      };
      expect(entry?.mediaType).toMatch(kind === "oci" ? /oci\.image\.manifest/ : /docker.*manifest\.v2|oci/);
      for (const { digest } of [manifest.config, ...manifest.layers]) {
        expect(
          `sha256:${createHash("sha256")
            .update(blob(digest) ?? "")
            .digest("hex")}`,
        ).toBe(digest);
      }
      expect(files.has("manifest.json")).toBe(kind === "docker");
      if (kind === "docker") {
        const [docker] = json(files.get("manifest.json")) as unknown as {
          RepoTags: string[];
          Layers: string[];
        }[];
        expect(docker?.RepoTags).toEqual(["example.com/a:b"]);
        expect(docker?.Layers).toHaveLength(manifest.layers.length);
      }
    }
  });

  it("OCIExporterContentStore: a layout directory holds what the tar holds", async () => {
    const path = join(dir, `same-${id}.tar`);
    const layout = join(dir, `same-${id}`);
    const definition = marshal(busybox().file(mkfile("/same", id)));
    await client.solve(definition, { outputs: [ociTar(path), ociLayout(layout)], config }).result;
    const files = await tarFiles(path);
    const blobs = [...files.keys()]
      .filter((file) => /^blobs\/sha256\/./.test(file))
      .map((file) => file.slice(13));
    expect(readdirSync(join(layout, "blobs/sha256")).sort()).toEqual(blobs.sort());
  });

  it("OCILayoutSource: builds on an image of this machine, by digest", async () => {
    const layout = join(dir, `source-${id}`);
    const { outputs } = await client.solve(marshal(busybox().file(mkfile("/in-layout", id))), {
      outputs: [ociLayout(layout)],
      config,
    }).result;
    const out = mkdtempSync(join(dir, "from-layout-"));
    const state = layoutSource(`not/real@${outputs[0]?.digest}`, { storeId: "mine" })
      .run(shell("cat /in-layout > /seen"))
      .root();
    await client.solve(marshal(state), { layouts: new Map([["mine", layout]]), outputs: [localDir(out)] })
      .result;
    expect(readFileSync(join(out, "seen"), "utf8")).toBe(id);
  });

  it("InvalidExporter: refuses outputs that cannot be before anything is built", async () => {
    const before = (await client.history()).length;
    expect(() => localDir("")).toThrow(expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" }));
    expect(() => registryOutput([])).toThrow(expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" }));
    const file = join(dir, `file-${id}`);
    mkdirSync(file);
    await expect(
      client.solve(marshal(busybox()), { outputs: [filesTar(file)] }).result,
    ).rejects.toMatchObject({ code: "ERR_KILN_OUTPUT_EXISTS" });
    await expect(
      client.solve(marshal(busybox()), { outputs: [ociLayout(join(file, "a")), ociLayout(join(file, "b"))] })
        .result,
    ).rejects.toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT" });
    expect((await client.history()).length).toBe(before);
  });

  it("MultipleExporters: writes everything that it is told to in one solve", async () => {
    const at = (file: string): string => join(dir, `many-${id}`, file);
    const { outputs } = await client.solve(marshal(scratch().file(mkfile("/foo", id))), {
      outputs: [
        localDir(at("one")),
        localDir(at("two")),
        filesTar(at("three.tar")),
        filesTar(at("four.tar")),
        ociTar(at("five.tar")),
        registryOutput(`${registry()}/peer/many-${id}:1`, { compression: "gzip", forceCompression: true }),
        registryOutput(`${registry()}/peer/many-${id}:2`, {
          compression: "uncompressed",
          forceCompression: true,
        }),
      ],
    }).result;
    expect(outputs.map(({ type }) => type)).toEqual([
      ...["local", "local", "tar", "tar", "oci", "registry", "registry"],
    ]);
    for (const one of ["one", "two"]) expect(readFileSync(at(`${one}/foo`), "utf8")).toBe(id);
    for (const tar of ["three.tar", "four.tar"])
      expect((await tarFiles(at(tar))).get("foo")?.toString()).toBe(id);
    expect(statSync(at("five.tar")).size).toBeGreaterThan(0);
    const [first, second] = await Promise.all(
      [1, 2].map((tag) => readRegistryImage(`${registry()}/peer/many-${id}:${tag}`)),
    );
    expect(first?.config.rootfs?.diff_ids).toEqual(second?.config.rootfs?.diff_ids);
    expect(first?.manifest.layers[0]?.digest).not.toBe(second?.manifest.layers[0]?.digest);
  });

  it("ExporterTargetExists: a target that is there already is left alone, and the digest is still told", async () => {
    let opened = 0;
    const there = (): undefined => {
      opened += 1;
    };
    const { outputs, exporterResponse } = await client.solve(marshal(busybox().file(mkfile("/there", id))), {
      outputs: [ociTar(there)],
      config,
    }).result;
    expect(opened).toBe(1);
    expect(outputs[0]?.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(exporterResponse["containerimage.digest"]).toBe(outputs[0]?.digest);
  });

  it("SourceMap: an error names the place that the op came from", async () => {
    const text = "one\ntwo\nthree\n";
    const file = sourceMap("recipe.txt", { language: "Recipe", data: text });
    const failing = busybox().run(shell(`exit 9 # ${id}`), {
      location: {
        sourceMap: file,
        ranges: [{ start: { line: 2, character: 1 }, end: { line: 2, character: 3 } }],
      },
    });
    const error = await client.solve(marshal(failing.root())).result.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SolveError);
    const details = ((error as SolveError).cause as RpcError).details.filter(({ kind }) => kind === "source");
    expect(details).toEqual([
      {
        kind: "source",
        filename: "recipe.txt",
        text,
        ranges: [{ startLine: 2, startCharacter: 1, endLine: 2, endCharacter: 3 }],
      },
    ]);
    expect(error).toMatchObject({
      message: expect.stringMatching(/^recipe\.txt:2: /),
      sources: [{ filename: "recipe.txt", excerpt: "    1 | one\n>>> 2 | two\n    3 | three" }],
    });
  });

  it("says that an image is not there, by code", async () => {
    const missing = client.solve(marshal(registryImage(`${registry()}/library/no-such-${id}:1`)));
    await expect(missing.result).rejects.toMatchObject({ code: "ERR_KILN_IMAGE_NOT_FOUND" });
  });

  it("NoBuildID and UnknownBuildID: calls outside a build are refused", async () => {
    const bridge = createClient(LLBBridge, client.connection);
    await expect(bridge.ping({})).rejects.toThrow(/no buildid found in context/);
    await expect(
      bridge.ping({}, { metadata: { "buildkit-controlapi-buildid": "no-such-build" } }),
    ).rejects.toThrow(/no such job/);
  });

  for (const [title, result, words] of [
    ["ValidateNullConfig", { "containerimage.config": "null" }, /invalid|config/],
    ["ValidateInvalidConfig", { "containerimage.config": '{"os":1}' }, /invalid|unmarshal/],
    ["ValidatePlatformsEmpty", { "refs.platforms": "null" }, /invalid|platforms/],
    ["ValidatePlatformsInvalid", { "refs.platforms": "nonsense" }, /invalid|platforms/],
  ] as const) {
    it(`${title}: a result that makes no sense fails the build, not the daemon`, async () => {
      const build = client.build(
        async (gateway): Promise<GatewayReturn> => {
          const { ref } = await gateway.solve({ definition: marshal(scratch().file(mkfile("/a", "a"))) });
          return { ref, metadata: new Map(Object.entries(result)) };
        },
        { outputs: [ociTar(join(dir, `${title}-${id}.tar`))] },
      );
      await expect(build.result).rejects.toThrow(words);
      expect((await client.facts()).workers.length).toBeGreaterThan(0);
      await client.solve(
        marshal(merge([scratch().file(mkfile("/a", "a")), scratch().file(mkfile("/b", "b"))])),
      ).result;
    });
  }

  describe("ValidateSourcePolicy: a policy that makes no sense fails the build, not the daemon", () => {
    const selector = { identifier: "*" };
    const { CONVERT, DENY } = PolicyAction;
    const rule = (fields: MessageInitShape<typeof RuleSchema>): MessageInitShape<typeof PolicySchema> => ({
      version: 1n,
      rules: [fields],
    });
    // They go past the typed options, which refuse all but the regular expression.
    for (const [title, policy, words] of [
      ["no selector", rule({ action: CONVERT }), "invalid nil selector in policy"],
      ["an empty rule", rule({}), "invalid nil selector in policy"],
      ["an action of tomorrow", rule({ action: 9000 as PolicyAction, selector }), "unknown type"],
      ["no updates", rule({ action: CONVERT, selector }), "missing destination for convert rule"],
      ["empty updates", rule({ action: CONVERT, selector, updates: {} }), "failed to parse *"],
      [
        "a match of tomorrow",
        rule({ action: DENY, selector: { ...selector, matchType: 9000 as MatchType } }),
        "unknown match type: 9000",
      ],
      [
        "no regular expression",
        rule({ action: DENY, selector: { identifier: "(", matchType: MatchType.REGEX } }),
        "error parsing regexp",
      ],
    ] as const) {
      it(title, async () => {
        const definition = marshal(busybox()).toMessage();
        const asked = createClient(Control, client.connection).solve({
          Ref: `policy-${id}-${title.replaceAll(" ", "-")}`,
          Definition: definition,
          SourcePolicy: policy,
        });
        await expect(asked).rejects.toThrow(words);
        const build = client.build(async (): Promise<undefined> => {
          await createClient(LLBBridge, client.connection).solve(
            { Definition: definition, SourcePolicies: [policy], Evaluate: true },
            { metadata: { "buildkit-controlapi-buildid": build.ref } },
          );
        });
        await expect(build.result).rejects.toThrow(words);
        // The daemon is still there.
        await client.solve(marshal(busybox())).result;
      });
    }
  });

  it("ClientGatewayCanceledCredentialsCallbackReturns: a cancelled build does not wait for a slow answer", async () => {
    let asked = (): void => {};
    const question = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const slow = await Client.connect(address, {
      credentials: () => {
        asked();
        return new Promise(() => {});
      },
    });
    // A registry that lets nobody in without credentials.
    const server = createServer((_request, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="peer"' }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const abort = new AbortController();
    const solve = slow.solve(marshal(registryImage(`127.0.0.1:${port}/private/image:1`)), {
      signal: abort.signal,
    });
    await question;
    abort.abort(new Error("enough"));
    await expect(solve.result).rejects.toThrow("enough");
    server.close();
    await slow.close();
  });
});

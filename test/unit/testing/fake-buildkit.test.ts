import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Secrets } from "../../../src/gen/moby/buildkit/secrets/v1/secrets_pb.js";
import { SolveRequestSchema } from "../../../src/gen/moby/buildkit/v1/control_pb.js";
import { ReturnRequestSchema } from "../../../src/gen/moby/buildkit/v1/frontend/gateway_pb.js";
import {
  CheckPolicyRequestSchema,
  PolicyVerifier,
} from "../../../src/gen/moby/buildkit/v1/sourcepolicy/policysession/policysession_pb.js";
import { Exporter } from "../../../src/gen/moby/exporter/v1/exporter_pb.js";
import { image, marshal, mkfile, scratch } from "../../../src/llb/index.js";
import {
  Client,
  dockerTar,
  localDir,
  ociTar,
  openLocalTree,
  type SolveEvent,
  type SourceDecision,
} from "../../../src/solver/index.js";
import { FakeBuildKit, type FakeBuildKitOptions, FakeRefusal, replay } from "../../../src/testing/index.js";

let dir: string;
let fake: FakeBuildKit | undefined;
let client: Client | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-fake-"));
});
afterEach(async () => {
  await client?.close();
  await fake?.close();
  client = undefined;
  fake = undefined;
  rmSync(dir, { recursive: true, force: true });
});

async function start(options: FakeBuildKitOptions = {}): Promise<{ fake: FakeBuildKit; client: Client }> {
  fake = await FakeBuildKit.start(options);
  client = await Client.connect(fake.address, { env: { DOCKER_CONFIG: dir } });
  return { fake, client };
}

const definition = marshal(scratch().file(mkfile("/a", "a")));

describe("the fake BuildKit", () => {
  it("says what it is told to be", async () => {
    const { client } = await start({
      version: "v0.26.1",
      llbCaps: ["exec.meta.base"],
      frontendCaps: ["readdir"],
    });
    const facts = await client.facts();
    expect(facts).toMatchObject({ buildkitVersion: "0.26", kind: "buildkitd", store: "buildkit" });
    expect([...facts.llbCaps]).toEqual(["exec.meta.base"]);
    expect([...facts.frontendCaps]).toEqual(["readdir"]);
  });

  it("takes a solve, records it, and reports progress", async () => {
    const { client, fake } = await start({
      solve(build) {
        build.vertex("sha256:1", "one", { log: "ünï\n" });
        build.vertex("sha256:2", "two", { cached: true });
        return { key: "value" };
      },
    });
    const solve = client.solve(definition, { entitlements: ["network.host"] });
    const events: SolveEvent[] = [];
    for await (const event of solve) events.push(event);
    expect((await solve.result).exporterResponse).toEqual({ key: "value" });
    expect(events.map(({ type }) => type)).toEqual([
      "vertex.started",
      "log",
      "vertex.done",
      "vertex.started",
      "vertex.cached",
    ]);
    const [request] = fake.solves();
    expect(request).toMatchObject({
      Ref: solve.ref,
      Entitlements: ["network.host"],
      CompatibilityVersion: 0n,
    });
    expect(request?.Definition?.def.length).toBe(2);
  });

  it("drives the session: trees, secrets, tars, as a daemon does", async () => {
    const tree = join(dir, "tree");
    mkdirSync(join(tree, "sub"), { recursive: true });
    writeFileSync(join(tree, "sub", "file"), "content");
    writeFileSync(join(tree, "left-out"), "x");
    const pulled = join(dir, "pulled");
    mkdirSync(pulled);
    const seen: unknown[] = [];
    const { client } = await start({
      async solve({ session, request }) {
        if (session === undefined) throw new Error("there is no session");
        seen.push(session.announcement.id === request.Session, session.announcement.sharedKey);
        const { data } = await session.client(Secrets).getSecret({ ID: "token" });
        seen.push(new TextDecoder().decode(data));
        const missing = await session
          .client(Secrets)
          .getSecret({ ID: "GIT_AUTH_TOKEN.example.com" })
          .catch((error: { statusName: string }) => error.statusName);
        seen.push(missing);
        await session.pullTree("src", pulled, { excludePatterns: ["left-out"] });
        await session.sendTar(0, Buffer.from("a tar"), { "containerimage.digest": "sha256:d" });
        return {};
      },
    });
    const out = join(dir, "out.tar");
    const { outputs } = await client.solve(definition, {
      sharedKey: "shared",
      secrets: { token: "hush" },
      trees: new Map([["src", await openLocalTree(tree)]]),
      outputs: [dockerTar(out)],
    }).result;
    expect(seen).toEqual([true, "shared", "hush", "NOT_FOUND"]);
    expect(readdirSync(pulled)).toEqual(["sub"]);
    expect(readFileSync(join(pulled, "sub/file"), "utf8")).toBe("content");
    expect(readFileSync(out, "utf8")).toBe("a tar");
    expect(outputs[0]?.digest).toBe("sha256:d");
  });

  it("fails builds with BuildKit's typed details", async () => {
    const { client } = await start({
      solve(build) {
        build.vertex("sha256:9", "make", { log: "no rule\n", error: "exit code: 3" });
        throw new FakeRefusal(2, 'process "make" did not complete successfully: exit code: 3', [
          { type: "errdefs.Vertex+json", value: { digest: "sha256:9" } },
          { type: "gatewayapi.ExitMessage+json", value: { Code: 3 } },
          { type: "nobody.Knows+json", value: { a: 1 } },
        ]);
      },
    });
    await expect(client.solve(definition).result).rejects.toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
      exitCode: 3,
      vertex: "sha256:9",
      vertexName: "make",
      logTail: ["no rule"],
    });
  });

  it("replays what a daemon did", async () => {
    const { client } = await start({
      solve: replay({
        status: [
          {
            vertexes: [{ digest: "sha256:1", name: "[1/1] RUN true", started: "2026-01-01T00:00:00Z" }],
          },
          {
            vertexes: [
              {
                digest: "sha256:1",
                name: "[1/1] RUN true",
                started: "2026-01-01T00:00:00Z",
                completed: "2026-01-01T00:00:02.5Z",
              },
            ],
          },
        ],
        exporterResponse: { "image.name": "a" },
      }),
    });
    const solve = client.solve(definition);
    const events: SolveEvent[] = [];
    for await (const event of solve) events.push(event);
    expect(events.at(-1)).toMatchObject({ type: "vertex.done", durationMs: 2_500 });
    expect((await solve.result).exporterResponse).toEqual({ "image.name": "a" });
  });

  it("answers gateway calls, and waits for the client's return", async () => {
    const { client, fake } = await start({
      gateway: {
        solve: ({ Definition }) => ({
          result: {
            result: {
              case: "ref",
              value: { id: "r1", ...(Definition === undefined ? {} : { def: Definition }) },
            },
          },
        }),
        readFile: ({ Ref, FilePath, Range }) => ({
          Data: Buffer.from(`${Ref}:${FilePath}:${Range?.Offset}`),
        }),
        statFile: () => {
          throw new FakeRefusal(5, "no such file");
        },
      },
    });
    let text = "";
    await client.build(async (gateway) => {
      const { ref } = await gateway.solve({ definition });
      text = new TextDecoder().decode(await ref?.readFile("/f", { offset: 7 }));
      await expect(ref?.statFile("/none")).rejects.toThrow("no such file");
      await expect(ref?.readDir("/")).rejects.toThrow(/unknown|implement/i);
      return { ref, metadata: new Map([["k", "v"]]) };
    }).result;
    expect(text).toBe("r1:/f:7");
    const returned = fake.requestsOf("LLBBridge/Return", ReturnRequestSchema).at(-1)?.result;
    expect(returned?.result).toMatchObject({ case: "ref", value: { id: "r1" } });
    expect(new TextDecoder().decode(returned?.metadata["k"])).toBe("v");
  });
});

describe("what no daemon at hand can do", () => {
  it("asks for a compatibility version in field 16, and for longer health checks in a header", async () => {
    const { client, fake } = await start();
    await client.solve(definition, { compatibilityVersion: 20 }).result;
    const [request] = fake.solves();
    expect(request?.CompatibilityVersion).toBe(20n);
    const bytes = Buffer.from(toBinary(SolveRequestSchema, request ?? create(SolveRequestSchema)));
    expect(bytes.includes(Buffer.from([0x80, 0x01, 0x14]))).toBe(true);
    const session = await fake.session(request?.Session ?? "");
    expect(session.announcement.metadata["x-buildkit-session-health-custom-timeout"]).toEqual(["30000"]);
  });

  it("lets the client decide about each source", async () => {
    const asked: string[] = [];
    const decisions: unknown[] = [];
    const { client, fake } = await start({
      async solve({ request, session }) {
        const verifier = session?.client(PolicyVerifier);
        const ask = async (identifier: string, digest?: string): Promise<void> => {
          const answer = await verifier?.checkPolicy({
            Platform: { OS: "linux", Architecture: "arm64", Variant: "v8" },
            Source: {
              Source: { identifier, attrs: { a: "b" } },
              ...(digest === undefined ? {} : { Image: { Digest: digest } }),
            },
          });
          decisions.push(answer?.result);
        };
        expect(request.SourcePolicySession).toBe(request.Session);
        await ask("docker-image://good");
        await ask("docker-image://unknown");
        await ask("docker-image://unknown", "sha256:d");
        await ask("docker-image://bad");
        await ask("docker-image://old");
        return {};
      },
    });
    await client.solve(marshal(image("alpine")), {
      verifySource({ identifier, attrs, platform, imageDigest }): SourceDecision {
        asked.push(`${identifier} ${attrs["a"]} ${platform} ${imageDigest}`);
        switch (identifier) {
          case "docker-image://unknown":
            return imageDigest === undefined ? { action: "resolve" } : { action: "allow" };
          case "docker-image://bad":
            return { action: "deny", messages: ["too old", "and ugly"] };
          case "docker-image://old":
            return { action: "convert", identifier: "docker-image://new", attrs: { c: "d" } };
          default:
            return { action: "allow" };
        }
      },
    }).result;
    expect(asked[0]).toBe("docker-image://good b linux/arm64/v8 undefined");
    expect(asked[2]).toBe("docker-image://unknown b linux/arm64/v8 sha256:d");
    expect(decisions).toMatchObject([
      { case: "decision", value: { action: 0 } },
      { case: "request", value: { Source: { identifier: "docker-image://unknown", attrs: { a: "b" } } } },
      { case: "decision", value: { action: 0 } },
      {
        case: "decision",
        value: { action: 1, denyMessages: [{ message: "too old" }, { message: "and ugly" }] },
      },
      {
        case: "decision",
        value: { action: 2, update: { identifier: "docker-image://new", attrs: { c: "d" } } },
      },
    ]);
    const [request] = fake.solves();
    const bytes = Buffer.from(toBinary(SolveRequestSchema, request ?? create(SolveRequestSchema)));
    // Field 15, a text of 25 characters.
    expect(
      bytes.includes(Buffer.concat([Buffer.from([0x7a, 25]), Buffer.from(request?.Session ?? "")])),
    ).toBe(true);
    expect(toBinary(CheckPolicyRequestSchema, create(CheckPolicyRequestSchema))).toHaveLength(0);
  });

  it("fails the build with what a verifier throws", async () => {
    const mistake = "my verifier is broken";
    const { client } = await start({
      async solve({ session }) {
        await session?.client(PolicyVerifier).checkPolicy({ Source: { Source: { identifier: "x" } } });
        return {};
      },
    });
    const solve = client.solve(definition, { verifySource: () => Promise.reject(new Error(mistake)) });
    await expect(solve.result).rejects.toThrow(mistake);
  });

  it("chooses outputs from the finished result, after those that were given", async () => {
    const out = join(dir, "chosen.tar");
    const { client, fake } = await start({
      async solve({ session, request }) {
        expect(request.EnableSessionExporter).toBe(true);
        const { exporters } = (await session
          ?.client(Exporter)
          .findExporters({ metadata: { k: Buffer.from("v") }, refs: ["r"] })) ?? { exporters: [] };
        expect(exporters).toMatchObject([
          { Type: "oci", Attrs: { name: "n", "containerimage.config": "{}" } },
        ]);
        await session?.sendTar(1, Buffer.from("chosen"));
        await session?.client(Exporter).finalizeExport({});
        return {};
      },
    });
    const { outputs } = await client.solve(definition, {
      outputs: [localDir(join(dir, "given"))],
      config: {} as never,
      chooseOutputs({ metadata, refs }) {
        expect(new TextDecoder().decode(metadata.get("k"))).toBe("v");
        expect(refs).toEqual(["r"]);
        return [ociTar(out, { name: "n" })];
      },
    }).result;
    expect(readFileSync(out, "utf8")).toBe("chosen");
    expect(outputs.map(({ type }) => type)).toEqual(["local", "oci"]);
    expect(fake.solves()).toHaveLength(1);
  });

  it("refuses all of it by name on a daemon that says that it is older", async () => {
    const { client, fake } = await start({ version: "v0.20.0" });
    for (const options of [
      { compatibilityVersion: 10 as const },
      { verifySource: () => ({ action: "allow" as const }) },
      { chooseOutputs: () => [] },
    ]) {
      await expect(client.solve(definition, options).result).rejects.toMatchObject({
        code: "ERR_KILN_UNSUPPORTED",
      });
    }
    expect(fake.solves()).toEqual([]);
  });
});

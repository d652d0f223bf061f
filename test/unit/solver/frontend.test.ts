import { afterEach, describe, expect, it } from "vitest";
import { marshal, mkfile, scratch } from "../../../src/llb/index.js";
import { Client, type DockerfileOptions, dockerfileOptions, SolveError } from "../../../src/solver/index.js";
import { FakeBuildKit, type FakeBuildKitOptions, FakeRefusal } from "../../../src/testing/index.js";

const definition = marshal(scratch().file(mkfile("/Dockerfile", "FROM scratch\n")));

let fake: FakeBuildKit | undefined;
let client: Client | undefined;
afterEach(async () => {
  await client?.close();
  await fake?.close();
});

async function start(options: FakeBuildKitOptions = {}): Promise<{ fake: FakeBuildKit; client: Client }> {
  fake = await FakeBuildKit.start(options);
  client = await Client.connect(fake.address, { env: { DOCKER_CONFIG: "/nowhere" } });
  return { fake, client };
}

describe("options of the Dockerfile frontend", () => {
  it("have BuildKit's names", () => {
    expect(
      dockerfileOptions({
        context: "https://example.com/repo.git#main:dir",
        contextSubdir: "sub",
        dockerfileName: "files",
        filename: "a.Dockerfile",
        target: "app",
        buildArgs: { A: "1", EMPTY: "" },
        labels: { "org.example.a": "b=c" },
        platforms: ["linux/arm64", { os: "linux", architecture: "arm", variant: "v7" }],
        multiPlatform: true,
        noCache: ["one", "two"],
        addHosts: { a: "10.0.0.1", b: "::1" },
        networkMode: "none",
        ulimits: { nofile: { soft: 10, hard: 20 }, core: 0, nproc: -1 },
        shmSize: 1024,
        cgroupParent: "/p",
        hostname: "h",
        memory: 4096n,
        memorySwap: -1,
        cpuShares: 2,
        cpuPeriod: 3,
        cpuQuota: 4,
        cpusetCpus: "0-1",
        cpusetMems: "0",
        imageResolveMode: "local",
        contexts: { base: "docker-image://busybox", "a/b:1": "local:tree" },
      }),
    ).toEqual({
      context: "https://example.com/repo.git#main:dir",
      contextsubdir: "sub",
      dockerfilekey: "files",
      filename: "a.Dockerfile",
      target: "app",
      "build-arg:A": "1",
      "build-arg:EMPTY": "",
      "label:org.example.a": "b=c",
      platform: "linux/arm64,linux/arm/v7",
      "multi-platform": "true",
      "no-cache": "one,two",
      "add-hosts": "a=10.0.0.1,b=::1",
      "force-network-mode": "none",
      ulimit: "nofile=10:20,core=0:0,nproc=-1:-1",
      "shm-size": "1024",
      "cgroup-parent": "/p",
      hostname: "h",
      memory: "4096",
      memswap: "-1",
      cpushares: "2",
      cpuperiod: "3",
      cpuquota: "4",
      cpusetcpus: "0-1",
      cpusetmems: "0",
      "image-resolve-mode": "local",
      "context:base": "docker-image://busybox",
      "context:a/b:1": "local:tree",
    });
    expect(dockerfileOptions({})).toEqual({});
    expect(dockerfileOptions({ noCache: true })).toEqual({ "no-cache": "" });
    expect(dockerfileOptions({ noCache: false, multiPlatform: false })).toEqual({
      "multi-platform": "false",
    });
  });

  const wrong: readonly (readonly [why: string, options: unknown, code?: string])[] = [
    ["build-arg:A", { "build-arg:A": "1" }, "ERR_KILN_UNKNOWN_OPTION"],
    ["buildargs", { buildargs: {} }, "ERR_KILN_UNKNOWN_OPTION"],
    ["buildArgs", { buildArgs: { A: 1 } }],
    ["buildArgs", { buildArgs: { "A=B": "1" } }],
    ["context", { context: "./dir" }],
    ["platforms", { platforms: [] }],
    ["platform", { platforms: ["linux"] }, "ERR_KILN_INVALID_PLATFORM"],
    ["noCache", { noCache: [] }],
    ["noCache", { noCache: ["a,b"] }],
    ["addHosts", { addHosts: { a: "host" } }],
    ["addHosts", { addHosts: { "a,b": "10.0.0.1" } }],
    ["networkMode", { networkMode: "bridge" }],
    ["ulimits", { ulimits: { nofile: { soft: 2, hard: 1 } } }],
    ["ulimits", { ulimits: { nofile: { soft: -1, hard: 1 } } }],
    ["ulimits", { ulimits: { NOFILE: 1 } }],
    ["shmSize", { shmSize: -5 }],
    ["shmSize", { shmSize: 0 }],
    ["memory", { memory: 1.5 }],
    ["imageResolveMode", { imageResolveMode: "never" }],
    ["contexts.a", { contexts: { a: "busybox" } }],
    ["contexts.a", { contexts: { a: definition } }],
    ["target", { target: "" }],
  ];
  it.each(wrong)("are refused when wrong: %s %j", (why, options, code = "ERR_KILN_INVALID_ARGUMENT") => {
    const call = (): unknown => dockerfileOptions(options as DockerfileOptions);
    expect(call).toThrow(expect.objectContaining({ code }));
    expect(call).toThrow(why);
  });
});

describe("a solve by a frontend", () => {
  it("sends frontend, options, inputs and caches, and no definition", async () => {
    const { client, fake } = await start({ solve: () => ({ "frontend.note": "said" }) });
    const result = await client.solve(
      {
        frontend: "dockerfile.v0",
        frontendOptions: { target: "app", contexts: { other: definition } },
        frontendInputs: { context: definition },
      },
      {
        cacheImports: [{ type: "registry", ref: "r.example.com/a:c" }],
        attestations: { provenance: true },
        sourceDateEpoch: 7,
      },
    ).result;
    expect(result.exporterResponse).toEqual({ "frontend.note": "said" });
    const request = fake.solves().at(-1);
    const imports = [{ Type: "registry", Attrs: { ref: "r.example.com/a:c" } }];
    expect(request?.Frontend).toBe("dockerfile.v0");
    expect(request?.Definition).toBeUndefined();
    expect(request?.FrontendAttrs).toEqual({
      target: "app",
      "context:other": "input:kiln-context-0",
      "attest:provenance": "mode=max",
      "build-arg:SOURCE_DATE_EPOCH": "7",
      "cache-imports": JSON.stringify(imports),
    });
    expect(request?.Cache?.Imports).toMatchObject(imports);
    expect(Object.keys(request?.FrontendInputs ?? {}).sort()).toEqual(["context", "kiln-context-0"]);
    expect(request?.FrontendInputs["context"]?.def).toHaveLength(2);
  });

  it("takes raw options for other frontends", async () => {
    const { client, fake } = await start();
    await client.solve({
      frontend: "gateway.v0",
      frontendOptions: { source: "docker/dockerfile:1", ...dockerfileOptions({ buildArgs: { A: "1" } }) },
    }).result;
    expect(fake.solves().at(-1)).toMatchObject({
      Frontend: "gateway.v0",
      FrontendAttrs: { source: "docker/dockerfile:1", "build-arg:A": "1" },
    });
  });

  it("is refused at the call when wrong", async () => {
    const { client, fake } = await start();
    const thrown = (what: unknown, options: object = {}): unknown => {
      try {
        return client.solve(what as undefined, options);
      } catch (error) {
        return error;
      }
    };
    const unknown = expect.objectContaining({ code: "ERR_KILN_UNKNOWN_OPTION" });
    const invalid = expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" });
    const dockerfile = { frontend: "dockerfile.v0" };
    expect(thrown({ ...dockerfile, opts: {} })).toEqual(unknown);
    expect(thrown({ ...dockerfile, frontendOptions: { "build-arg:A": "1" } })).toEqual(unknown);
    expect(thrown({ ...dockerfile, frontendInputs: { context: {} } })).toEqual(invalid);
    expect(thrown(dockerfile, { config: {} })).toEqual(invalid);
    expect(thrown({ frontend: "" })).toEqual(invalid);
    expect(thrown({ frontend: "gateway.v0" })).toEqual(invalid);
    expect(thrown({ frontend: "x", frontendOptions: { "cache-imports": "[]" } })).toEqual(invalid);
    expect(thrown(undefined, { ouputs: [] })).toEqual(unknown);
    expect(thrown(undefined, { compatibilityVersion: 7 })).toEqual(invalid);
    expect(fake.requests).toEqual([]);
  });

  it("is refused before anything is sent when the daemon is too old", async () => {
    const { client, fake } = await start({ version: "v0.30.0" });
    const solve = client.solve({ frontend: "dockerfile.v0", frontendOptions: { memory: 1024 } });
    await expect(solve.result).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringMatching(/memory.*BuildKit 0\.30; needs 0\.31/),
    });
    expect(fake.solves().filter(({ Internal }) => !Internal)).toEqual([]);
  });

  it("keeps the daemon's copies of two projects' contexts apart", async () => {
    const keys: (string | undefined)[] = [];
    const { client } = await start({
      solve({ session }) {
        keys.push(session?.announcement.sharedKey);
        return {};
      },
    });
    const tree = (root: string) => new Map([["context", { root } as never]]);
    for (const [trees, sharedKey] of [
      [tree("/a"), undefined],
      [tree("/b"), undefined],
      [tree("/a"), undefined],
      [tree("/a"), "own"],
    ] as const) {
      await client.solve({ frontend: "dockerfile.v0" }, { trees, sharedKey }).result;
    }
    expect(keys[0]).toBe(keys[2]);
    expect(new Set(keys).size).toBe(3);
    expect(keys[3]).toBe("own");
  });

  it("fails with the place in the Dockerfile, the nearest first", async () => {
    const source = (filename: string, text: string, line: number, end = line) => ({
      type: "errdefs.Source+json",
      value: {
        info: { filename, data: Buffer.from(text).toString("base64") },
        ranges: [{ start: { line }, end: { line: end } }],
      },
    });
    const file = "FROM a\nRUN b\nRUN c \\\n  d\nRUN e\nRUN f\nRUN g\n";
    const { client } = await start({
      solve() {
        throw new FakeRefusal(2, "process did not complete: exit code: 3", [
          source("outer", "", 1),
          source("Dockerfile", file, 3, 4),
        ]);
      },
    });
    const error = await client.solve({ frontend: "dockerfile.v0" }).result.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SolveError);
    expect(error).toMatchObject({
      code: "ERR_KILN_STEP_FAILED",
      exitCode: 3,
      message: "Dockerfile:3: process did not complete: exit code: 3",
    });
    const [first, second] = (error as SolveError).sources;
    expect(first?.filename).toBe("Dockerfile");
    expect(first?.excerpt.split("\n")).toEqual([
      "    1 | FROM a",
      "    2 | RUN b",
      ">>> 3 | RUN c \\",
      ">>> 4 |   d",
      "    5 | RUN e",
      "    6 | RUN f",
    ]);
    expect(second).toMatchObject({ filename: "outer", excerpt: "" });
  });
});

describe("a question to a frontend", () => {
  const asked = { frontend: "dockerfile.v0" } as const;
  const answering = (json: string) =>
    start({
      gateway: {
        solve: () => ({
          result: {
            result: { case: "ref", value: { id: "" } },
            metadata: { "result.json": Buffer.from(json) },
          },
        }),
      },
    });

  it("is sent with its name, and the answer is read", async () => {
    const { client, fake } = await answering(
      JSON.stringify({
        name: "app",
        args: [
          { name: "A", value: "1", location: { ranges: [{ start: { line: 3 }, end: { line: 3 } }] } },
          7,
        ],
        secrets: [{ name: "token", required: true }],
        cache: [{ ID: "c" }],
      }),
    );
    expect(await client.askFrontend("outline", asked)).toEqual({
      name: "app",
      description: "",
      args: [
        { name: "A", description: "", value: "1", line: 3 },
        { name: "", description: "", value: "", line: undefined },
      ],
      secrets: [{ id: "token", required: true, line: undefined }],
      ssh: [],
      cacheMounts: [{ id: "c", line: undefined }],
    });
    const request = fake.requests.find(({ method }) => method === "LLBBridge/Solve");
    expect(request?.message).toMatchObject({
      Frontend: "dockerfile.v0",
      FrontendOpt: {
        requestid: "frontend.outline",
        "frontend.caps": "moby.buildkit.frontend.subrequests",
      },
    });
  });

  it("is refused where it cannot be answered", async () => {
    const none = await answering("no json");
    await expect(none.client.askFrontend("targets", asked)).rejects.toMatchObject({
      code: "ERR_KILN_PROTOCOL",
    });
    await none.client.close();
    await none.fake.close();
    const old = await start({ version: "v0.13.2" });
    await expect(old.client.askFrontend("lint", asked)).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringContaining("needs 0.14"),
    });
    expect(() => old.client.askFrontend("what" as "lint", asked)).toThrow(
      expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" }),
    );
  });
});

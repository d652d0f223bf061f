import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SolveRequestSchema } from "../../../src/gen/moby/buildkit/v1/control_pb.js";
import {
  ReadDirRequestSchema,
  ReadFileRequestSchema,
  StatFileRequestSchema,
} from "../../../src/gen/moby/buildkit/v1/frontend/gateway_pb.js";
import {
  CheckPolicyResponseSchema,
  PolicyVerifier,
} from "../../../src/gen/moby/buildkit/v1/sourcepolicy/policysession/policysession_pb.js";
import { OpMetadataSchema } from "../../../src/gen/pb/ops_pb.js";
import { capability } from "../../../src/llb/capabilities.js";
import { marshal, mkfile, scratch } from "../../../src/llb/index.js";
import {
  type CacheExport,
  type CacheImport,
  Client,
  type ClientSolveOptions,
  type Container,
  localDir,
  registry,
  type SourceDecision,
} from "../../../src/solver/index.js";
import { FakeBuildKit, type FakeBuildKitOptions, FakeRefusal } from "../../../src/testing/index.js";
import { newerOps } from "../../conformance/states/beyond-engines.js";
import { int, message, text, textMap } from "../../conformance/wire.js";

// What the engines of the integration tests are too old for: its bytes, and how a daemon's answers are taken.
// Their refusals are in test/integration/beyond-engines.test.ts.

let dir: string;
let fake: FakeBuildKit | undefined;
let client: Client | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-beyond-"));
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
const answer = { "answered.by": "the fake" };

/** Whether the bytes of a message hold these. */
function holds<T extends DescMessage>(schema: T, sent: MessageShape<T> | undefined, bytes: Buffer): boolean {
  if (sent === undefined) throw new Error("nothing was sent");
  return Buffer.from(toBinary(schema, sent)).includes(bytes);
}

/** A daemon that does not tell its version. */
const unknown = { version: "v0.0.0+unknown" } as const;

/** The version just before one, as a daemon tells it. */
const justBefore = (version: string): string => `v0.${Number(version.split(".")[1]) - 1}.0`;

describe.each(newerOps)("$title", ({ state, cap, needs, op, metadata, unsent }) => {
  it("has these bytes, and a daemon that can gets them", async () => {
    const { client, fake } = await start({ solve: () => answer });
    const made = marshal(state());
    expect((await client.solve(made).result).exporterResponse).toEqual(answer);
    const sent = fake.solves()[0]?.Definition;
    const bytes = Buffer.from(sent?.def.at(-2) ?? []);
    if (op !== undefined) expect(bytes.toString("hex")).toBe(op.toString("hex"));
    const told = sent?.metadata[made.digestOf(state()) ?? made.ops.at(-2)?.digest ?? ""];
    expect(Object.keys(told?.caps ?? {}).includes(cap)).toBe(unsent !== true);
    if (metadata !== undefined) expect(holds(OpMetadataSchema, told, metadata)).toBe(true);
  });

  it("is refused before the solve where the daemon does not list it", async () => {
    const llbCaps = Object.values(capability).filter((id) => id !== cap);
    const { client, fake } = await start({ version: justBefore(needs), llbCaps });
    await expect(client.solve(marshal(state())).result).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringMatching(
        new RegExp(`does not support ${cap} \\(BuildKit ${justBefore(needs).slice(1, 5)}; needs ${needs}`),
      ),
    });
    expect(fake.solves()).toEqual([]);
  });

  it("is refused all the same by a daemon that lists nothing", async () => {
    const said = `failed to load LLB: unknown API capability ${cap}`;
    const { client, fake } = await start({
      ...unknown,
      llbCaps: [],
      solve() {
        throw new FakeRefusal(2, said);
      },
    });
    await expect(client.solve(marshal(state())).result).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: said,
    });
    expect(fake.solves()).toHaveLength(1);
  });
});

interface NewerOption {
  readonly title: string;
  readonly needs: string;
  readonly options: (dir: string) => ClientSolveOptions;
  /** Bytes of the request. */
  readonly sent: readonly Buffer[];
  /** What the refusal calls it. Default the title. */
  readonly called?: string;
}

const exporter = (type: string, attrs: Readonly<Record<string, string>>): readonly Buffer[] => [
  message(13, text(1, type), textMap(2, attrs)),
];

const newerOptions: readonly NewerOption[] = [
  {
    title: "compatibilityVersion",
    needs: "0.30",
    options: () => ({ compatibilityVersion: 20 }),
    sent: [int(16, 20)],
  },
  {
    title: "verifySource",
    needs: "0.26",
    options: () => ({ verifySource: () => ({ action: "allow" }) }),
    // A session's id has 25 characters.
    sent: [Buffer.from([(15 << 3) | 2, 25])],
  },
  {
    title: "chooseOutputs",
    needs: "0.21",
    options: () => ({ chooseOutputs: () => [] }),
    sent: [int(14, 1)],
  },
  {
    title: "mode delete of a directory",
    needs: "0.31",
    options: (dir) => ({ outputs: [localDir(join(dir, "out"), { mode: "delete" })] }),
    called: 'localDir\'s mode "delete"',
    sent: exporter("local", { mode: "delete" }),
  },
  {
    title: "ociArtifact",
    needs: "0.19",
    options: () => ({ outputs: [registry("registry.example.com/a:1", { ociArtifact: true })] }),
    sent: [message(2, text(1, "oci-artifact"), text(2, "true"))],
  },
];

describe.each(newerOptions)("$title", ({ title, needs, options, sent, called = title }) => {
  it("has these bytes, and a daemon that can gets them", async () => {
    const { client, fake } = await start({ solve: () => answer });
    expect((await client.solve(definition, options(dir)).result).exporterResponse).toEqual(answer);
    for (const bytes of sent) expect(holds(SolveRequestSchema, fake.solves()[0], bytes)).toBe(true);
  });

  it("is refused before the solve by the daemon's version", async () => {
    const { client, fake } = await start({ version: justBefore(needs) });
    await expect(client.solve(definition, options(dir)).result).rejects.toMatchObject({
      code: "ERR_KILN_UNSUPPORTED",
      message: expect.stringContaining(
        `does not know ${called} (BuildKit ${justBefore(needs).slice(1, 5)}; needs ${needs} or newer)`,
      ),
    });
    expect(fake.solves()).toEqual([]);
  });

  it("is tried where the version is not known, and the daemon's answer counts", async () => {
    const { client, fake } = await start({
      ...unknown,
      solve() {
        throw new FakeRefusal(2, "no such thing here");
      },
    });
    await expect(client.solve(definition, options(dir)).result).rejects.toThrow("no such thing here");
    expect(fake.solves()).toHaveLength(1);
  });
});

describe("what no daemon refuses", () => {
  it("a session's health timeout is a header, which older daemons do not read", async () => {
    const { client, fake } = await start({ version: "v0.13.0" });
    await client.solve(definition).result;
    const { announcement } = await fake.session(fake.solves()[0]?.Session ?? "");
    expect(announcement.metadata["x-buildkit-session-health-custom-timeout"]).toEqual(["30000"]);
  });

  it("an entitlement for one device is a text, and refused by version", async () => {
    const grant = "device=vendor.example/gpu=0";
    const { client, fake } = await start({ solve: () => answer });
    await client.solve(definition, { entitlements: [grant] }).result;
    expect(holds(SolveRequestSchema, fake.solves()[0], text(9, grant))).toBe(true);
  });

  it.each([
    ["granting entitlement device is not allowed by build daemon configuration", "ERR_KILN_ENTITLEMENT"],
    ["device vendor.example/gpu=0 is requested by the build but not allowed", "ERR_KILN_ENTITLEMENT"],
    ["unknown entitlement device", "ERR_KILN_UNSUPPORTED"],
  ])("%s", async (said, code) => {
    const { client } = await start({
      solve() {
        throw new FakeRefusal(2, said);
      },
    });
    await expect(client.solve(definition, { entitlements: ["device"] }).result).rejects.toMatchObject({
      code,
    });
  });

  it("proxied networks have a field that is off unless they are asked for", async () => {
    const { client, fake } = await start();
    await client.solve(definition).result;
    await client.solve(definition, { proxyNetwork: true }).result;
    expect(fake.solves().map(({ ProxyNetwork }) => ProxyNetwork)).toEqual([false, true]);
    const on = create(SolveRequestSchema, { ProxyNetwork: true });
    expect(Buffer.from(toBinary(SolveRequestSchema, on)).equals(int(17, 1))).toBe(true);
  });
});

describe("a policy verifier", () => {
  const decisions: readonly (readonly [SourceDecision, Buffer])[] = [
    [{ action: "allow" }, message(1)],
    [{ action: "deny" }, message(1, int(1, 1))],
    [
      { action: "deny", messages: ["no", "never"] },
      message(1, int(1, 1), message(2, text(1, "no")), message(2, text(1, "never"))),
    ],
    [
      { action: "convert", identifier: "docker-image://b", attrs: { k: "v" } },
      message(1, int(1, 2), message(3, text(1, "docker-image://b"), textMap(2, { k: "v" }))),
    ],
    [{ action: "resolve" }, message(2, message(1, text(1, "docker-image://a"), textMap(2, { a: "1" })))],
  ];
  it.each(decisions)("answers %j in these bytes", async (decision, bytes) => {
    let got = "";
    const { client } = await start({
      async solve({ session }) {
        const source = { identifier: "docker-image://a", attrs: { a: "1" } };
        const response = await session?.client(PolicyVerifier).checkPolicy({ Source: { Source: source } });
        if (response !== undefined) {
          got = Buffer.from(toBinary(CheckPolicyResponseSchema, response)).toString("hex");
        }
        return {};
      },
    });
    await client.solve(definition, { verifySource: () => decision }).result;
    expect(got).toBe(bytes.toString("hex"));
  });

  it("shows the user the reasons with which the daemon fails the build", async () => {
    const said = 'source "docker-image://a" not allowed by policy: too old';
    const { client } = await start({
      solve() {
        throw new FakeRefusal(2, said, [
          {
            type: "policysession.DecisionResponse+json",
            value: { action: 1, denyMessages: [{ message: "x" }] },
          },
        ]);
      },
    });
    const solve = client.solve(definition, { verifySource: () => ({ action: "deny" }) });
    await expect(solve.result).rejects.toMatchObject({ code: "ERR_KILN_SOLVE_FAILED", message: said });
  });
});

describe("caches of clouds", () => {
  const caches: readonly (readonly [CacheExport & CacheImport, Readonly<Record<string, string>>])[] = [
    [
      {
        ...{ type: "s3", bucket: "b", region: "r", prefix: "p/", names: ["one", "two"] },
        ...{
          endpointUrl: "http://s3.example.com",
          accessKeyId: "k",
          secretAccessKey: "s",
          usePathStyle: true,
        },
      },
      {
        ...{ bucket: "b", region: "r", prefix: "p/", name: "one;two", endpoint_url: "http://s3.example.com" },
        ...{ access_key_id: "k", secret_access_key: "s", use_path_style: "true" },
      },
    ],
    [
      {
        ...{ type: "azblob", accountUrl: "https://a.example.com", accountName: "a", container: "c" },
        ...{ manifestsPrefix: "m/", blobsPrefix: "x/", names: ["n"], secretAccessKey: "s" },
      },
      {
        ...{ account_url: "https://a.example.com", account_name: "a", container: "c" },
        ...{ manifests_prefix: "m/", blobs_prefix: "x/", name: "n", secret_access_key: "s" },
      },
    ],
    [
      { type: "gha", url: "http://gha.example.com/", token: "t", scope: "s", timeoutMs: 1500 },
      { url: "http://gha.example.com/", token: "t", scope: "s", timeout: "1500ms" },
    ],
  ];
  it.each(caches)("$type: has these bytes, is exported and imported", async (cache, attrs) => {
    const { client, fake } = await start({ solve: () => answer });
    const options = { cacheExports: [cache], cacheImports: [cache] };
    expect((await client.solve(definition, options).result).exporterResponse).toEqual(answer);
    const sent = fake.solves()[0]?.Cache;
    for (const [field, entry] of [
      [4, sent?.Exports[0]],
      [5, sent?.Imports[0]],
    ] as const) {
      expect(entry?.Attrs).toEqual(attrs);
      const pieces = Object.entries(entry?.Attrs ?? {}).map(([key, value]) => textMap(2, { [key]: value }));
      const bytes = message(field, text(1, cache.type), ...pieces);
      expect(holds(SolveRequestSchema, fake.solves()[0], bytes)).toBe(true);
    }
  });

  it.each(["exporter", "importer"])("an unknown cache %s is named by code", async (what) => {
    const { client } = await start({
      solve() {
        throw new FakeRefusal(2, `unknown cache ${what}: "s3"`);
      },
    });
    await expect(client.solve(definition).result).rejects.toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
  });
});

describe("the files of a container", () => {
  const within = async (use: (container: Container) => Promise<void>, options: FakeBuildKitOptions = {}) => {
    const started = await start({
      gateway: {
        solve: () => ({ result: { result: { case: "ref", value: { id: "r1" } } } }),
        newContainer: () => ({}),
        releaseContainer: () => ({}),
        readFileContainer: () => ({ Data: Buffer.from("content") }),
        readDirContainer: () => ({ entries: [{ path: "f", size: 7n }] }),
        statFileContainer: () => ({ stat: { path: "f", size: 7n, mode: 0o644 } }),
      },
      ...options,
    });
    await started.client.build(async (gateway): Promise<undefined> => {
      const { ref } = await gateway.solve({ definition });
      const mounts = [
        { target: "/", ref },
        { target: "/data", ref },
      ];
      await use(await gateway.newContainer({ mounts }));
    }).result;
    return started;
  };

  it("are read, listed and described by mount, in these bytes", async () => {
    let id = "";
    const { fake } = await within(async (container) => {
      id = container.id;
      expect(Buffer.from(await container.readFile("/data/f", { offset: 2, length: 9 })).toString()).toBe(
        "content",
      );
      expect((await container.readDir("/data", { includePattern: "f*" })).map(({ path }) => path)).toEqual([
        "f",
      ]);
      expect(await container.statFile("/etc/f")).toMatchObject({ type: "file", mode: 0o644, size: 7n });
    });
    const sent = <T extends DescMessage>(method: string, schema: T): string => {
      const [request] = fake.requestsOf(`LLBBridge/${method}`, schema);
      if (request === undefined) throw new Error(`${method} was not called`);
      return Buffer.from(toBinary(schema, request)).toString("hex");
    };
    expect(sent("ReadFileContainer", ReadFileRequestSchema)).toBe(
      Buffer.concat([text(1, id), text(2, "/f"), message(3, int(1, 2), int(2, 9)), int(4, 1)]).toString(
        "hex",
      ),
    );
    expect(sent("ReadDirContainer", ReadDirRequestSchema)).toBe(
      Buffer.concat([text(1, id), text(2, "/"), text(3, "f*"), int(4, 1)]).toString("hex"),
    );
    expect(sent("StatFileContainer", StatFileRequestSchema)).toBe(
      Buffer.concat([text(1, id), text(2, "/etc/f")]).toString("hex"),
    );
  });

  it("are refused before they are asked for where the daemon does not list it", async () => {
    const { fake } = await within(
      async (container) => {
        for (const call of [container.readFile("/f"), container.readDir("/"), container.statFile("/f")]) {
          await expect(call).rejects.toMatchObject({
            code: "ERR_KILN_UNSUPPORTED",
            message: expect.stringContaining("gateway.exec.filesystem (BuildKit 0.26; needs 0.27 or newer)"),
          });
        }
      },
      { version: "v0.26.0", frontendCaps: ["gateway.exec"] },
    );
    expect(fake.requests.some(({ method }) => method.endsWith("FileContainer"))).toBe(false);
  });
});

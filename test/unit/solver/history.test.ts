import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { extract } from "tar-stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StatusSchema } from "../../../src/gen/google/rpc/status_pb.js";
import {
  type BuildHistoryRecordSchema,
  UpdateBuildHistoryRequestSchema,
} from "../../../src/gen/moby/buildkit/v1/control_pb.js";
import { openOciLayout, sha256 } from "../../../src/oci/index.js";
import { Client, type HistoryBlob } from "../../../src/solver/index.js";
import { type FakeBlob, FakeBuildKit, type FakeBuildKitOptions } from "../../../src/testing/index.js";

type Record_ = Exclude<MessageInitShape<typeof BuildHistoryRecordSchema>, { readonly $typeName: string }>;

let dir: string;
let fake: FakeBuildKit;
let client: Client;
const blobs = new Map<string, FakeBlob>();

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-history-"));
  blobs.clear();
});
afterEach(async () => {
  await client?.close();
  await fake?.close();
  rmSync(dir, { recursive: true, force: true });
});

async function start(records: readonly Record_[], options: FakeBuildKitOptions = {}): Promise<void> {
  fake = await FakeBuildKit.start({
    content: (digest) => blobs.get(digest),
    history: () => records.map((record) => ({ record })),
    control: { updateBuildHistory: () => ({}) },
    ...options,
  });
  client = await Client.connect(fake.address, { env: { DOCKER_CONFIG: dir } });
}

/** Puts a blob into the fake daemon; returns how a record names it. */
function put(content: string | Uint8Array, mediaType = "application/octet-stream", annotations = {}) {
  const data = Buffer.from(content as string);
  const digest = sha256(data);
  blobs.set(digest, { pieces: [{ data: data.subarray(0, 3) }, { data: data.subarray(3) }] });
  return { mediaType, digest, size: BigInt(data.length), annotations };
}

const asBlob = ({ size, ...rest }: ReturnType<typeof put>): HistoryBlob => ({ ...rest, size: Number(size) });
const over = { seconds: 5n, nanos: 6 };
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("a blob of the daemon's content store", () => {
  const content = "the content of a blob";
  const digest = sha256(content);
  const read = async (size: number | undefined) => {
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of client.readHistoryBlob({ digest, size })) pieces.push(piece);
      return { read: Buffer.concat(pieces).toString(), code: undefined };
    } catch (error) {
      return { read: Buffer.concat(pieces).toString(), code: (error as { code?: string }).code };
    }
  };

  it("comes whole, by descriptor and by digest alone", async () => {
    await start([]);
    const blob = asBlob(put(content));
    expect((await buffer(client.readHistoryBlob(blob))).toString()).toBe(content);
    expect((await buffer(client.readHistoryBlob(digest))).toString()).toBe(content);
    const empty = asBlob(put(""));
    expect(await buffer(client.readHistoryBlob(empty))).toHaveLength(0);
  });

  it.each<[string, FakeBlob, string, string]>([
    [
      "a wrong content",
      { pieces: [{ data: text("other content of blob") }] },
      "ERR_KILN_DIGEST_MISMATCH",
      "",
    ],
    ["too little", { pieces: [{ data: text("the content") }] }, "ERR_KILN_TRUNCATED", ""],
    ["too much", { pieces: [{ data: text(content) }, { data: text("!") }] }, "ERR_KILN_LIMIT_EXCEEDED", ""],
    ["a gap", { pieces: [{ data: text("the ") }, { offset: 5, data: text("x") }] }, "ERR_KILN_PROTOCOL", ""],
    [
      "a piece twice",
      { pieces: [{ data: text("the ") }, { offset: 0, data: text("the ") }] },
      "ERR_KILN_PROTOCOL",
      "",
    ],
    ["nothing", { pieces: [] }, "ERR_KILN_TRUNCATED", ""],
    [
      "no end",
      { pieces: [{ data: text(content) }, { data: text("x") }], stalls: true },
      "ERR_KILN_LIMIT_EXCEEDED",
      "",
    ],
  ])("is refused with %s, before its last piece is given", async (_title, blob, code) => {
    await start([]);
    blobs.set(digest, blob);
    const found = await read(content.length);
    expect(found.code).toBe(code);
    expect(found.read).not.toBe(content);
  });

  it("that the daemon gives another size than it says is refused by that size", async () => {
    await start([]);
    blobs.set(digest, { pieces: [{ data: text(content) }], size: 4 });
    expect((await read(undefined)).code).toBe("ERR_KILN_LIMIT_EXCEEDED");
    blobs.set(digest, { pieces: [{ data: text(content) }], size: 400 });
    expect((await read(undefined)).code).toBe("ERR_KILN_TRUNCATED");
  });

  it("that is not there, or that no daemon could have, is said at once", async () => {
    await start([]);
    expect((await read(3)).code).toBe("ERR_KILN_BLOB_NOT_FOUND");
    expect(() => client.readHistoryBlob("sha256:short")).toThrow(
      expect.objectContaining({
        code: "ERR_KILN_INVALID_DIGEST",
        location: expect.objectContaining({ file: import.meta.filename }) as object,
      }),
    );
    for (const wrong of [{ digest, size: -1 }, { digest, size: 1.5 }, undefined as never]) {
      expect(() => client.readHistoryBlob(wrong)).toThrow(
        expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" }),
      );
    }
    expect(() => client.readHistoryBlob(digest, { Signal: 1 } as object)).toThrow(
      expect.objectContaining({ code: "ERR_KILN_UNKNOWN_OPTION" }),
    );
  });

  it("of a daemon without the service is refused", async () => {
    await start([], { content: undefined });
    expect((await read(3)).code).toBe("ERR_KILN_UNSUPPORTED");
  });

  it("ends with the signal's reason, also while the daemon stalls", async () => {
    await start([]);
    blobs.set(digest, { pieces: [{ data: text("the ") }, { data: text("content") }], stalls: true });
    const stop = new AbortController();
    const reason = new Error("enough");
    const reading = client.readHistoryBlob({ digest, size: content.length }, { signal: stop.signal });
    expect(Buffer.from((await reading.next()).value as Uint8Array).toString()).toBe("the ");
    stop.abort(reason);
    await expect(reading.next()).rejects.toBe(reason);
  });
});

describe("a history record", () => {
  it("names its blobs, results and attestations", async () => {
    const logs = put("logs", "application/vnd.buildkit.status.v0");
    const predicate = { "in-toto.io/predicate-type": "https://slsa.dev/provenance/v1" };
    const whole = put("p0", "application/vnd.in-toto+json", predicate);
    const arm = put("p1", "application/vnd.in-toto+json");
    const first = put("i0", "application/vnd.oci.image.index.v1+json");
    const second = put("i1", "application/vnd.oci.image.manifest.v1+json");
    await start([
      {
        Ref: "a",
        CompletedAt: over,
        logs,
        error: { code: 2, message: "why" },
        numWarnings: 3,
        Result: { Attestations: [whole], ResultDeprecated: first, Results: { "1": second, "0": first } },
        Results: { "linux/arm64": { Attestations: [arm] } },
      },
      { Ref: "b", Result: { ResultDeprecated: first } },
    ]);
    const [record] = await client.history({ ref: "a" });
    expect(record).toMatchObject({
      logs: asBlob(logs),
      trace: undefined,
      externalError: undefined,
      error: { message: "why", status: "UNKNOWN" },
      warnings: 3,
      results: [
        { exporter: 0, blob: asBlob(first) },
        { exporter: 1, blob: asBlob(second) },
      ],
      attestations: [
        {
          platform: undefined,
          predicateType: predicate["in-toto.io/predicate-type"],
          from: "record",
          blob: asBlob(whole),
        },
        { platform: "linux/arm64", predicateType: "", from: "record", blob: asBlob(arm) },
      ],
    });
    expect((await client.history({ ref: "b" }))[0]?.results).toEqual([{ exporter: 0, blob: asBlob(first) }]);
  });

  it("runs until the daemon says that it is over, not until it has a time of completion", async () => {
    let asked = 0;
    const record: Record_ = { Ref: "a", CompletedAt: over };
    const failed: Record_ = { ...record, error: { code: 2, message: "why" } };
    await start([], {
      history: () => {
        asked += 1;
        return asked < 4 ? [{ record, running: true }] : [{ record: failed }];
      },
    });
    expect(await client.history()).toMatchObject([{ state: "running", error: undefined }]);
    expect(await client.historyError("a")).toBeUndefined();
    expect(await client.historyError("a", { wait: true })).toMatchObject({ message: "why" });
    await expect(client.historyError("a", { wait: "yes" } as never)).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
    });
  });

  it("leads to the attestations of its images, by platform", async () => {
    const statement = put("s", "application/vnd.in-toto+json", {
      "in-toto.io/predicate-type": "https://spdx.dev/Document",
    });
    const manifest = asBlob(
      put(JSON.stringify({ layers: [asBlob(statement)] }), "application/vnd.oci.image.manifest.v1+json"),
    );
    const image = { mediaType: manifest.mediaType, digest: sha256("image"), size: 5 };
    const index = put(
      JSON.stringify({
        manifests: [
          { ...image, platform: { os: "linux", architecture: "arm64", variant: "v8" } },
          {
            ...manifest,
            annotations: {
              "vnd.docker.reference.type": "attestation-manifest",
              "vnd.docker.reference.digest": image.digest,
            },
          },
        ],
      }),
      "application/vnd.oci.image.index.v1+json",
    );
    const record: Record_ = { Ref: "a", CompletedAt: over, Result: { Results: { "0": index, "1": index } } };
    await start([record]);
    expect(await client.historyAttestations("a")).toEqual([
      {
        predicateType: "https://spdx.dev/Document",
        platform: "linux/arm64",
        from: "image",
        blob: asBlob(statement),
      },
    ]);
    blobs.delete(manifest.digest);
    await expect(client.historyAttestations("a")).rejects.toMatchObject({ code: "ERR_KILN_BLOB_NOT_FOUND" });
    await expect(client.historyAttestations("b")).rejects.toMatchObject({ code: "ERR_KILN_BUILD_NOT_FOUND" });
  });

  it.each([
    ["no JSON", "{"],
    ["no list", "{}"],
    ["entries without digests", '{"manifests":[{"size":1,"mediaType":"x"}]}'],
    ["wrong platforms", `{"manifests":[{"size":1,"mediaType":"x","digest":"y","platform":{"os":1}}]}`],
    ["wrong annotations", `{"manifests":[{"size":1,"mediaType":"x","digest":"y","annotations":{"a":[]}}]}`],
  ])("with an index that is %s is refused", async (_title, content) => {
    const index = put(content, "application/vnd.oci.image.index.v1+json");
    await start([{ Ref: "a", CompletedAt: over, Result: { Results: { "0": index } } }]);
    await expect(client.historyAttestations("a")).rejects.toMatchObject({ code: "ERR_KILN_PROTOCOL" });
  });
});

describe("why a build failed", () => {
  const details = [
    ["errdefs.Vertex+json", { digest: "sha256:v" }],
    ["gatewayapi.ExitMessage+json", { Code: 7 }],
    [
      "errdefs.Solve+json",
      { inputIDs: ["in"], mountIDs: ["mount"], op: { exec: { meta: { args: ["x"] } } } },
    ],
    ["errdefs.NobodyKnows+json", { a: 1 }],
  ].map(([type, value]) => ({
    typeUrl: `github.com/moby/buildkit/${String(type)}`,
    value: text(JSON.stringify(value)),
  }));
  const message = "process did not complete: exit code: 7";
  const status = [
    { vertexes: [{ digest: "sha256:v", name: "the step", started: over, completed: over, error: message }] },
    { logs: [{ vertex: "sha256:v", stream: 1n, msg: text("one\ntwo\n") }] },
  ];
  const expected = {
    code: "ERR_KILN_STEP_FAILED",
    message,
    exitCode: 7,
    vertex: "sha256:v",
    vertexName: "the step",
    logTail: ["one", "two"],
    failedOp: { inputIds: ["in"], mountIds: ["mount"], op: { exec: { meta: { args: ["x"] } } } },
  };

  it("is read from the blob that newer daemons keep, and from the record of older ones", async () => {
    const blob = put(toBinary(StatusSchema, create(StatusSchema, { code: 2, message, details })));
    const failed: Record_ = { CompletedAt: over, error: { code: 2, message } };
    await start([], {
      history: () => [
        { record: { ...failed, Ref: "new", externalError: blob }, status },
        { record: { ...failed, Ref: "old", error: { code: 2, message, details } }, status },
        { record: { ...failed, Ref: "odd", externalError: put("\u00ff\u00ff no status") }, status },
        { record: { Ref: "good", CompletedAt: over } },
      ],
    });
    expect(await client.historyError("new")).toMatchObject(expected);
    expect(await client.historyError("old")).toMatchObject(expected);
    expect(await client.historyError("odd")).toMatchObject({ exitCode: 7, vertex: "sha256:v" });
    expect(await client.historyError("good")).toBeUndefined();
    await expect(client.historyError("none")).rejects.toMatchObject({ code: "ERR_KILN_BUILD_NOT_FOUND" });
    blobs.set(blob.digest, { pieces: [{ data: text("short") }] });
    await expect(client.historyError("new")).rejects.toMatchObject({ code: "ERR_KILN_TRUNCATED" });
  });
});

describe("a bundle of builds", () => {
  const trace = `{\n  "Value": "buildx --cache-from type=gha,token=s3cret,scope=x"\n}\n{"Value":"a\\u0026b"}\n`;
  const build = (ref: string, more: Record_ = {}): Record_ => ({
    Ref: ref,
    CompletedAt: over,
    CreatedAt: over,
    FrontendAttrs: {
      b: "1",
      a: "2",
      "cache-imports": JSON.stringify([{ Type: "s3", Attrs: { ref: "r", secret_access_key: "s3cret" } }]),
    },
    Exporters: [{ Type: "image", Attrs: {} }],
    logs: put(`logs of ${ref}`, "application/vnd.buildkit.status.v0"),
    trace: put(trace, "application/vnd.buildkit.otlp.json.v0"),
    externalError: put("error", "application/vnd.googeapis.google.rpc.status+proto"),
    Result: {
      Attestations: [put("provenance", "application/vnd.in-toto+json", { k: "v" })],
      Results: { "0": put("{}", "application/vnd.oci.image.index.v1+json") },
    },
    ...more,
  });

  async function untar(gzipped: Uint8Array): Promise<ReadonlyMap<string, string>> {
    const files = new Map<string, string>();
    const tar = extract();
    tar.end(gunzipSync(gzipped));
    for await (const entry of tar) {
      const content = await buffer(entry);
      files.set(entry.header.name, content.toString());
    }
    return files;
  }

  it("has the form that buildx gives it", async () => {
    await start([build("a")]);
    const file = join(dir, "sub", "a.dockerbuild");
    const { digest, refs } = await client.exportHistory("a", { to: { file } });
    expect(refs).toEqual(["a"]);
    const files = await untar(readFileSync(file));
    expect([...files.keys()].slice(0, 2)).toEqual(["blobs/", "blobs/sha256/"]);
    expect([...files.keys()].slice(-2)).toEqual(["index.json", "oci-layout"]);
    expect(files.get("oci-layout")).toBe('{"imageLayoutVersion":"1.0.0"}');
    const blob = (of: string) => files.get(`blobs/sha256/${of.slice(7)}`) ?? "missing";
    const index = JSON.parse(files.get("index.json") ?? "") as object;
    expect(index).toEqual({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [
        { mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: blob(digest).length },
      ],
    });
    const manifest = JSON.parse(blob(digest)) as {
      config: { mediaType: string; digest: string };
      layers: { mediaType: string; digest: string; annotations?: object }[];
    };
    expect(manifest.config.mediaType).toBe("application/vnd.buildkit.historyrecord.v0");
    expect(manifest.layers.map(({ mediaType, annotations }) => [mediaType, annotations])).toEqual([
      ["application/vnd.buildkit.otlp.json.v0", undefined],
      ["application/vnd.buildkit.status.v0", undefined],
      ["application/vnd.in-toto+json", { k: "v" }],
      [
        "application/json",
        { "vnd.export-build.descriptor.mediatype": "application/vnd.oci.image.index.v1+json" },
      ],
      ["application/vnd.googeapis.google.rpc.status+proto", undefined],
    ]);
    expect(manifest.layers.slice(1).map((layer) => blob(layer.digest))).toEqual([
      "logs of a",
      "provenance",
      "{}",
      "error",
    ]);
    const cleaned = blob(manifest.layers[0]?.digest ?? "");
    expect(cleaned).toBe(trace.replace("s3cret", "xxxxx"));
    const record = JSON.parse(blob(manifest.config.digest)) as { trace: object };
    expect(record).toMatchObject({
      Ref: "a",
      CreatedAt: { seconds: 5, nanos: 6 },
      Exporters: [{ Type: "image" }],
      FrontendAttrs: { "cache-imports": '[{"Type":"s3","Attrs":{"ref":"r"}}]' },
      logs: { media_type: "application/vnd.buildkit.status.v0", size: 9 },
      Result: { Results: { "0": { media_type: "application/vnd.oci.image.index.v1+json" } } },
      trace: { digest: sha256(cleaned), size: cleaned.length },
      DefaultPlatform: "linux/amd64",
    });
    expect(record).not.toHaveProperty("pinned");
    expect([...files.values()].join("")).not.toContain("s3cret");
    expect(readdirSync(join(dir, "sub"))).toEqual(["a.dockerbuild"]);
  });

  it("of several builds has an index with their refs, and blobs that they share once", async () => {
    await start([build("a"), build("b")]);
    const place = join(dir, "layout");
    mkdirSync(place);
    const { digest, refs } = await client.exportHistory(["a", "b", "a"], { to: { dir: place } });
    expect(refs).toEqual(["a", "b"]);
    const layout = await openOciLayout(place);
    expect(layout.index.manifests.map((entry) => entry.digest)).toEqual([digest]);
    const index = (await layout.readJson(layout.resolve())) as { manifests: { annotations: object }[] };
    expect(index.manifests.map(({ annotations }) => annotations)).toEqual([
      { "vnd.buildkit.history.reference": "a" },
      { "vnd.buildkit.history.reference": "b" },
    ]);
    // Two logs, configs and manifests, the index, and four blobs that both have.
    expect(readdirSync(join(place, "blobs", "sha256"))).toHaveLength(11);
    expect(readdirSync(dir).sort()).toEqual(["layout"]);
  });

  it("goes to a stream once all of it has been read", async () => {
    await start([build("a")]);
    const out = new PassThrough();
    const [content] = await Promise.all([buffer(out), client.exportHistory("a", { to: out })]);
    expect((await untar(content)).has("index.json")).toBe(true);
    const written: unknown[] = [];
    const record = build("a");
    blobs.set(record.logs?.digest ?? "", { pieces: [{ data: text("logs of b") }] });
    const sink = new Writable({ write: (chunk, _encoding, done) => done(void written.push(chunk) as never) });
    await expect(client.exportHistory("a", { to: sink })).rejects.toMatchObject({
      code: "ERR_KILN_DIGEST_MISMATCH",
    });
    expect(written).toEqual([]);
    expect(sink.writableEnded).toBe(false);
  });

  it.each([
    ["a file", { file: "x.dockerbuild" }],
    ["a directory", { dir: "x" }],
  ])("leaves nothing of %s when it fails or is aborted", async (_title, target) => {
    const record = build("a");
    await start([record]);
    const to = Object.fromEntries(Object.entries(target).map(([key, name]) => [key, join(dir, name)])) as {
      file: string;
    };
    const logs = record.logs?.digest ?? "";
    blobs.set(logs, { pieces: [{ data: text("logs") }] });
    await expect(client.exportHistory("a", { to })).rejects.toMatchObject({ code: "ERR_KILN_TRUNCATED" });
    blobs.delete(logs);
    await expect(client.exportHistory("a", { to })).rejects.toMatchObject({
      code: "ERR_KILN_BLOB_NOT_FOUND",
    });
    blobs.set(logs, { pieces: [{ data: text("lo") }, { data: text("g") }], stalls: true });
    const stop = new AbortController();
    const reason = new Error("enough");
    const exporting = client.exportHistory("a", { to, signal: stop.signal });
    exporting.catch(() => {});
    await expect
      .poll(() => fake.requests.filter(({ method }) => method === "Content/Read").length)
      .toBeGreaterThan(5);
    stop.abort(reason);
    await expect(exporting).rejects.toBe(reason);
    expect(readdirSync(dir)).toEqual([]);
  });

  it("is refused for builds that are not known, still run, or have nowhere to go", async () => {
    await start([build("a"), { Ref: "running" }]);
    const to = { file: join(dir, "x") };
    await expect(client.exportHistory(["a", "no"], { to })).rejects.toMatchObject({
      code: "ERR_KILN_BUILD_NOT_FOUND",
    });
    await expect(client.exportHistory("running", { to })).rejects.toMatchObject({
      code: "ERR_KILN_BUILD_RUNNING",
    });
    writeFileSync(join(dir, "file"), "");
    for (const place of [{ file: dir }, { dir: join(dir, "file") }, { dir }]) {
      await expect(client.exportHistory("a", { to: place })).rejects.toMatchObject({
        code: "ERR_KILN_OUTPUT_EXISTS",
      });
    }
    await expect(client.exportHistory("a", { to: { file: join(dir, "file", "x") } })).rejects.toMatchObject({
      code: "ERR_KILN_OUTPUT_UNWRITABLE",
    });
    for (const wrong of [undefined, "x", {}, { file: "" }, { file: "a", dir: "b" }, { path: "x" }]) {
      await expect(client.exportHistory("a", { to: wrong as never })).rejects.toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
      });
    }
    await expect(client.exportHistory([], { to })).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
    });
    await expect(client.exportHistory("a", { to, too: 1 } as never)).rejects.toMatchObject({
      code: "ERR_KILN_UNKNOWN_OPTION",
    });
    expect(readdirSync(dir)).toEqual(["file"]);
  });

  it.each([
    ["v0.14.1", 0],
    ["v0.15.0", 1],
    ["v0.0.0+unknown", 1],
  ])(
    "waits for the trace on a daemon %s that can finish it, and never unpins a build",
    async (version, asked) => {
      let finished = false;
      const untraced = { trace: undefined } as object;
      await start([], {
        version,
        history: () => [{ record: build("a", { pinned: true, ...(finished ? {} : untraced) }) }],
        control: {
          updateBuildHistory: () => {
            finished = true;
            return {};
          },
        },
      });
      await client.exportHistory("a", { to: { dir: join(dir, "out") } });
      const updates = fake.requestsOf("Control/UpdateBuildHistory", UpdateBuildHistoryRequestSchema);
      expect(updates.map(({ Pinned, Finalize, Delete }) => ({ Pinned, Finalize, Delete }))).toEqual(
        Array.from({ length: asked }, () => ({ Pinned: true, Finalize: true, Delete: false })),
      );
      const layout = await openOciLayout(join(dir, "out"));
      const manifest = (await layout.readJson(layout.resolve())) as { layers: unknown[] };
      expect(manifest.layers).toHaveLength(asked === 1 ? 5 : 4);
    },
  );
});

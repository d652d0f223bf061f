import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, json } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { marshal, mkfile, image as registryImage, scratch } from "../../src/llb/index.js";
import { type Descriptor, openOciLayout, parsePlatform, sha256 } from "../../src/oci/index.js";
import {
  Client,
  dockerImage,
  multiPlatform,
  type Output,
  ociTar,
  type SolveError,
} from "../../src/solver/index.js";
import { removeDockerImage } from "./support/docker-image.js";
import { describeEachEngine, registry } from "./support/engines.js";

describeEachEngine("what the daemon keeps of builds", ({ name, address }) => {
  let client: Client;
  let dir: string;
  beforeAll(async () => {
    client = await Client.connect(address);
    dir = mkdtempSync(join(tmpdir(), "kiln-history-export-"));
  });
  afterAll(async () => {
    await client.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = (script: string) =>
    marshal(registryImage(`${registry()}/library/busybox:1.36`).run(["/bin/sh", "-c", script]).root());

  async function built(
    script: string,
    output: Output = ociTar(join(dir, `${Date.now()}.tar`)),
  ): Promise<string> {
    const solve = client.solve(run(script), {
      outputs: [output],
      attestations: { provenance: { mode: "max" } },
    });
    await solve.result;
    return solve.ref;
  }

  async function filesOf(bundle: string): Promise<ReadonlyMap<string, Buffer>> {
    const files = new Map<string, Buffer>();
    const tar = extract();
    tar.end(gunzipSync(readFileSync(bundle)));
    for await (const entry of tar) files.set(entry.header.name, await buffer(entry));
    return files;
  }

  it("is read blob by blob: log, provenance, result and its attestations", async () => {
    const mark = `kept-${Date.now()}`;
    // The daemon keeps what an image's attestations say as long as it has the image, and in no history.
    const image = `kiln-${mark}`;
    const ref = await built(`echo ${mark}`, dockerImage(image));
    onTestFinished(() => removeDockerImage(address, image));
    const [record] = await client.history({ ref });
    if (record?.logs === undefined) throw new Error("the record names no log");
    expect(record.logs.mediaType).toBe("application/vnd.buildkit.status.v0");
    expect((await buffer(client.readHistoryBlob(record.logs))).toString("latin1")).toContain(mark);
    expect((await buffer(client.readHistoryBlob(record.logs.digest))).length).toBe(record.logs.size);

    expect(record.results).toMatchObject([
      { exporter: 0, blob: { mediaType: "application/vnd.oci.image.index.v1+json" } },
    ]);
    const attestations = await client.historyAttestations(ref);
    expect(attestations.map(({ from, platform, predicateType }) => [from, platform, predicateType])).toEqual([
      ["record", undefined, "https://slsa.dev/provenance/v0.2"],
      ["image", "linux/amd64", "https://slsa.dev/provenance/v0.2"],
    ]);
    const [ofRecord, ofImage] = await Promise.all(
      attestations.map(({ blob }) => json(client.readHistoryBlob(blob))),
    );
    expect(ofRecord).toHaveProperty("buildType");
    expect(ofImage).toHaveProperty("predicate.buildType");
    await expect(buffer(client.readHistoryBlob(sha256(mark)))).rejects.toMatchObject({
      code: "ERR_KILN_BLOB_NOT_FOUND",
    });
  });

  it("tells of a failed build what its solve told", async () => {
    const failed = client.solve(run(`echo why-${Date.now()}; echo the-end; exit 7`));
    const thrown = (await failed.result.catch((error: unknown) => error)) as SolveError;
    const { code, message, exitCode, vertex, vertexName, logTail } = thrown;
    expect(code).toBe("ERR_KILN_STEP_FAILED");
    expect(await client.historyError(failed.ref)).toMatchObject({
      ...{ code, message, exitCode, vertex, vertexName, logTail },
    });
    const [record] = await client.history({ ref: failed.ref });
    expect(record?.externalError?.mediaType).toBe(
      name === "older" ? undefined : "application/vnd.googeapis.google.rpc.status+proto",
    );
  });

  it("is exported to one bundle, the failed build and the good one", async () => {
    const mark = `exported-${Date.now()}`;
    const good = await built(`echo ${mark}`);
    const bad = client.solve(run(`echo ${mark}; exit 3`));
    await bad.result.catch(() => {});
    await client.pinHistory(good, true);

    const file = join(dir, "both.dockerbuild");
    const { digest } = await client.exportHistory([good, bad.ref], { to: { file } });
    const files = await filesOf(file);
    for (const [path, content] of files) {
      if (path.startsWith("blobs/sha256/") && content.length > 0) {
        expect(sha256(content)).toBe(`sha256:${path.slice("blobs/sha256/".length)}`);
      }
    }
    const blob = <T>(of: string) =>
      JSON.parse(files.get(`blobs/sha256/${of.slice("sha256:".length)}`)?.toString() ?? "") as T;
    interface Entry {
      readonly digest: string;
      readonly mediaType: string;
      readonly annotations?: Readonly<Record<string, string>>;
    }
    const { manifests } = blob<{ manifests: Entry[] }>(digest);
    expect(manifests.map(({ annotations }) => annotations?.["vnd.buildkit.history.reference"])).toEqual([
      good,
      bad.ref,
    ]);
    const [first, second] = manifests.map((entry) => blob<{ config: Entry; layers: Entry[] }>(entry.digest));
    // The older daemon writes the trace some seconds later and cannot be asked to wait; it has the error's details in the
    // record.
    const otlp = "application/vnd.buildkit.otlp.json.v0";
    const layersOf = (manifest: { readonly layers: readonly Entry[] } | undefined) => {
      const types = manifest?.layers.map(({ mediaType }) => mediaType) ?? [];
      return name === "older" && types[0] === otlp ? types.slice(1) : types;
    };
    const trace = name === "older" ? [] : [otlp];
    const error = name === "older" ? [] : ["application/vnd.googeapis.google.rpc.status+proto"];
    expect(layersOf(first)).toEqual([
      ...trace,
      "application/vnd.buildkit.status.v0",
      "application/vnd.in-toto+json",
      "application/json",
    ]);
    expect(layersOf(second)).toEqual([...trace, "application/vnd.buildkit.status.v0", ...error]);
    expect(blob(first?.config.digest ?? "")).toMatchObject({ Ref: good, DefaultPlatform: "linux/amd64" });
    expect(blob(second?.config.digest ?? "")).toMatchObject({
      Ref: bad.ref,
      error: { message: expect.stringContaining("exit code: 3") as string },
    });
    // Waiting for the trace is asked for by a field that an older daemon reads as "unpin".
    expect(await client.history({ ref: good })).toMatchObject([{ pinned: true }]);
    await client.exportHistory(good, { to: { dir: join(dir, "layout") } });
    const layout = await openOciLayout(join(dir, "layout"));
    const manifest = (await layout.readJson(layout.resolve())) as { config: Descriptor };
    expect(await layout.readJson(manifest.config)).toMatchObject({ Ref: good, pinned: true });
    await client.pinHistory(good, false);
  });

  it("has the provenance of each platform", async () => {
    const platforms = ["linux/amd64", "linux/arm64"].map(parsePlatform);
    const solve = client.build(
      async (gateway) =>
        multiPlatform(
          await Promise.all(
            platforms.map(async (platform) => {
              const state = scratch().file(mkfile("/arch", `${platform.architecture}-${Date.now()}`));
              const { ref } = await gateway.solve({ definition: marshal(state, { platform }) });
              return { platform, ref };
            }),
          ),
        ),
      { outputs: [ociTar(join(dir, "platforms.tar"))], attestations: { provenance: { mode: "min" } } },
    );
    await solve.result;
    const [record] = await client.history({ ref: solve.ref });
    expect(record?.attestations.map(({ platform }) => platform)).toEqual(["linux/amd64", "linux/arm64"]);
    const attestations = await client.historyAttestations(solve.ref);
    expect(attestations.filter(({ from }) => from === "image").map(({ platform }) => platform)).toEqual([
      "linux/amd64",
      "linux/arm64",
    ]);
    for (const { blob } of record?.attestations ?? []) {
      expect(await json(client.readHistoryBlob(blob))).toHaveProperty("buildType");
    }
    const { refs } = await client.exportHistory(solve.ref, {
      to: { file: join(dir, "platforms.dockerbuild") },
    });
    expect(refs).toEqual([solve.ref]);
  });

  it("is not exported while the build runs", async () => {
    const stop = new AbortController();
    const solve = client.solve(run(`echo running-${Date.now()}; sleep 60`), { signal: stop.signal });
    for await (const event of solve) if (event.type === "log") break;
    const to = { file: join(dir, "running.dockerbuild") };
    await expect(client.exportHistory(solve.ref, { to })).rejects.toMatchObject({
      code: "ERR_KILN_BUILD_RUNNING",
    });
    expect(await client.historyError(solve.ref)).toBeUndefined();
    stop.abort(new Error("enough"));
    await expect(solve.result).rejects.toThrow("enough");
  });
});

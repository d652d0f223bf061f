import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { scanDirectory } from "../../src/engine/outputs/directory-stamp.js";
import {
  type CheckOutputsOptions,
  checkOutputs,
  type StampedOutputs,
  stampOutputs,
} from "../../src/engine/outputs/output-checks.js";
import type { OutputStamp } from "../../src/engine/outputs/output-stamp.js";
import { RegistryAccess } from "../../src/engine/registries/registry-access.js";
import type { OutputRecord } from "../../src/model/build-record.js";
import { ImageStore, mediaTypes, sha256, updateOciIndex } from "../../src/oci/index.js";
import {
  dockerImage,
  dockerTar,
  filesTar,
  localDir,
  type Output,
  ociLayout,
  ociTar,
  registry as registryOutput,
} from "../../src/solver/outputs.js";
import { writeFakeImage, writeFakeIndex } from "../unit/oci/fake-image.js";
import { type FakeRegistry, fail, startFakeRegistry } from "../unit/oci/fake-registry.js";

let dir: string;
let access: RegistryAccess;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-checks-"));
  access = new RegistryAccess({ env: {}, credentials: async () => undefined, retries: 0 });
});

afterEach(() => {
  access.close();
  rmSync(dir, { recursive: true, force: true });
});

function context(more: Partial<CheckOutputsOptions> = {}): CheckOutputsOptions {
  return {
    daemon: { address: `docker://${join(dir, "docker.sock")}` },
    registries: access,
    images: { kind: "directory", dir: join(dir, "store") },
    publish: undefined,
    ...more,
  };
}

function record(type: OutputRecord["type"], target: string, digest?: string): OutputRecord {
  return { type, target, digest };
}

function stampsOf(stamped: StampedOutputs): readonly OutputStamp[] {
  if (stamped.stamps === undefined) throw new Error(stamped.reason);
  return stamped.stamps;
}

/** Stamps as they come back from where builds are recorded. */
async function stamp(
  outputs: readonly Output[],
  records: readonly OutputRecord[],
  more: Partial<CheckOutputsOptions> = {},
): Promise<unknown> {
  return JSON.parse(JSON.stringify(stampsOf(await stampOutputs(outputs, records, context(more)))));
}

/** Changes a file and gives it its former times and size again. */
function flipByte(file: string, at = 0): void {
  const { atime, mtime } = lstatSync(file);
  execFileSync("chmod", ["u+w", file]);
  const bytes = readFileSync(file);
  bytes.writeUInt8((bytes.readUInt8(at) + 1) % 256, at);
  writeFileSync(file, bytes);
  utimesSync(file, atime, mtime);
}

describe("an OCI layout", () => {
  let out: string;
  let digest: string;
  let stamps: unknown;
  const outputs = (): readonly Output[] => [ociLayout(out)];
  const blob = (text: string): string => join(out, "blobs", "sha256", text.replace("sha256:", ""));
  const check = (more: Partial<CheckOutputsOptions> = {}): Promise<string | undefined> =>
    checkOutputs(outputs(), stamps, context(more));

  beforeEach(async () => {
    out = join(dir, "out");
    ({ digest } = await writeFakeImage(out, { label: "a", layers: ["one layer", "another layer"] }));
    stamps = await stamp(outputs(), [record("oci", out, digest)]);
  });

  it("is there when nothing happened, though no blob is read", async () => {
    let refreshed = 0;
    expect(await check({ onRefreshed: () => (refreshed += 1) })).toBeUndefined();
    expect(refreshed).toBe(0);
    const [first] = stamps as readonly OutputStamp[];
    expect(first).toMatchObject({ type: "oci-layout", layout: { digest, tag: "latest" } });
    expect(first?.type === "oci-layout" && first.layout.blobs.length).toBe(4);
  });

  it("is not there with a blob cut by a byte", async () => {
    const layer = sha256("one layer");
    truncateSync(blob(layer), 8);
    expect(await check()).toBe(`the layout ${out}: the blob ${layer} has 8 bytes in place of 9`);
  });

  it("is not there with a bit flipped, though size and time are as before", async () => {
    const layer = sha256("another layer");
    for (const [which, why] of [
      [layer, `the layout ${out}: the blob ${layer} was changed`],
      [digest, `the OCI layout ${out}: the blob ${digest} is damaged`],
    ] as const) {
      const before = readFileSync(blob(which));
      flipByte(blob(which));
      expect(await check()).toBe(why);
      writeFileSync(blob(which), before);
      expect(await check()).toBeUndefined();
    }
  });

  it("is not there with a blob removed, or a link or directory in its place", async () => {
    const layer = sha256("one layer");
    const kept = join(dir, "kept");
    renameSync(blob(layer), kept);
    expect(await check()).toBe(`the layout ${out}: it lacks the blob ${layer}`);
    symlinkSync(kept, blob(layer));
    expect(await check()).toBe(`the layout ${out}: the blob ${layer} is a link`);
    rmSync(blob(layer));
    mkdirSync(blob(layer));
    expect(await check()).toBe(`the layout ${out}: the blob ${layer} is a directory`);
    rmSync(blob(layer), { recursive: true });
    renameSync(kept, blob(layer));
    expect(await check()).toBeUndefined();
  });

  it("is not there when its entry is gone from the index, or is another image's", async () => {
    const file = join(out, "index.json");
    const before = readFileSync(file, "utf8");
    writeFileSync(file, JSON.stringify({ schemaVersion: 2, manifests: [] }));
    expect(await check()).toBe(`the layout ${out}: its index has no latest any more`);
    const other = await writeFakeImage(out, { label: "b", layers: ["other"] });
    expect(await check()).toBe(`the layout ${out}: latest is ${other.digest} now`);
    for (const damaged of ["", "{", "[]", '{"manifests":[null]}', before.replace(/"size":\d+/, '"size":1')]) {
      writeFileSync(file, damaged);
      expect(await check()).toContain(out);
    }
    rmSync(file);
    expect(await check()).toContain("index.json");
    writeFileSync(file, before);
    expect(await check()).toBeUndefined();
    rmSync(join(out, "oci-layout"));
    expect(await check()).toContain("oci-layout");
  });

  it("stays there when other images are added", async () => {
    await writeFakeImage(out, { label: "b", layers: ["other"] }, "second");
    expect(await check()).toBeUndefined();
  });

  it("is looked for under its own tag", async () => {
    expect(await checkOutputs([ociLayout(out, { name: "app:2" })], stamps, context())).toContain(
      "other outputs",
    );
    expect(await checkOutputs([ociLayout(join(dir, "else"))], stamps, context())).toContain("other outputs");
    const named = [ociLayout(out, { name: "registry.example:5000/app" })];
    const { index } = await import("../../src/oci/layout.js").then(({ openOciLayout }) => openOciLayout(out));
    await updateOciIndex(out, index.manifests[0]!, { tag: "registry.example:5000/app" });
    expect(
      await checkOutputs(named, await stamp(named, [record("oci", out, digest)]), context()),
    ).toBeUndefined();
  });

  it("that was copied elsewhere and back is read once, and then known again", async () => {
    cpSync(out, join(dir, "copy"), { recursive: true });
    rmSync(out, { recursive: true });
    cpSync(join(dir, "copy"), out, { recursive: true });
    let fresh: unknown;
    const refresh = async (): Promise<string | undefined> => {
      // Long enough after the copy for its times to tell.
      await new Promise((resolve) => setTimeout(resolve, 30));
      return check({
        onRefreshed: (all) => {
          fresh = JSON.parse(JSON.stringify(all));
        },
      });
    };
    expect(await refresh()).toBeUndefined();
    expect(fresh).toBeDefined();
    stamps = fresh;
    fresh = undefined;
    expect(await refresh()).toBeUndefined();
    expect(fresh).toBeUndefined();
  });

  it("that was replaced by a link is not there", async () => {
    renameSync(out, join(dir, "moved"));
    expect(await check()).toBe(`${out} is gone`);
    symlinkSync(join(dir, "moved"), out);
    expect(await check()).toBe(`${out} is a link to ${join(dir, "moved")} now`);
  });

  it("of several platforms counts with all of them", async () => {
    const both = join(dir, "both");
    const images = ["amd64", "arm64"].map((architecture) => ({
      ...{ label: architecture, architecture, layers: [`layer of ${architecture}`] },
    }));
    const { index } = await writeFakeIndex(both, images);
    const wanted = [ociLayout(both)];
    const taken = await stamp(wanted, [record("oci", both, index.digest)]);
    expect(await checkOutputs(wanted, taken, context())).toBeUndefined();
    rmSync(join(both, "blobs", "sha256", sha256("layer of arm64").slice(7)));
    expect(await checkOutputs(wanted, taken, context())).toContain("lacks the blob");
  });

  it("cannot be stamped when it is not whole", async () => {
    truncateSync(blob(sha256("one layer")), 8);
    const stamped = await stampOutputs(outputs(), [record("oci", out, digest)], context());
    expect(stamped).toEqual({
      stamps: undefined,
      reason: expect.stringContaining("has 8 bytes in place of 9"),
    });
    const other = await stampOutputs(outputs(), [record("oci", out, sha256("x"))], context());
    expect(other).toEqual({ stamps: undefined, reason: expect.stringContaining(`latest is ${digest} now`) });
    const none = await stampOutputs(outputs(), [record("oci", out)], context());
    expect(none).toEqual({ stamps: undefined, reason: expect.stringContaining("not told the digest") });
  });

  it("is read when its files' times lie ahead of this machine's clock", async () => {
    const ago = (): number => Date.now() - 3_600_000;
    stamps = await stamp(outputs(), [record("oci", out, digest)], { now: ago });
    expect(JSON.stringify(stamps)).not.toContain("ctimeNs");
    expect(await check({ now: ago })).toBeUndefined();
    flipByte(blob(sha256("one layer")));
    expect(await check({ now: ago })).toContain("was changed");
  });
});

describe("a tar", () => {
  it("is known by its version, else by its content", async () => {
    const file = join(dir, "image.tar");
    writeFileSync(file, randomUUID().repeat(1000));
    const kinds: readonly (readonly [Output, OutputRecord])[] = [
      [ociTar(file), record("oci", file, sha256("m"))],
      [dockerTar(file), record("docker", file, sha256("m"))],
      [filesTar(file), record("tar", file)],
    ];
    for (const [output, told] of kinds) {
      const before = readFileSync(file);
      const stamps = await stamp([output], [told]);
      const check = (): Promise<string | undefined> => checkOutputs([output], stamps, context());
      expect(await check()).toBeUndefined();
      utimesSync(file, 1, 1);
      expect(await check()).toBeUndefined();
      flipByte(file, 100);
      expect(await check()).toBe(`${file} was changed`);
      writeFileSync(file, before);
      expect(await check()).toBeUndefined();
      truncateSync(file, before.length - 1);
      expect(await check()).toBe(`${file} has ${before.length - 1} bytes in place of ${before.length}`);
      rmSync(file);
      expect(await check()).toBe(`${file} is gone`);
      writeFileSync(join(dir, "else"), before);
      symlinkSync(join(dir, "else"), file);
      expect(await check()).toBe(`${file} is a link`);
      rmSync(file);
      writeFileSync(file, before);
      expect(await check()).toBeUndefined();
    }
  });

  it("that goes to a stream cannot be checked", async () => {
    const output = ociTar(() => undefined);
    const stamped = await stampOutputs([output], [record("oci", "(stream)", sha256("m"))], context());
    expect(stamped).toEqual({ stamps: undefined, reason: expect.stringContaining("stream") });
  });
});

describe("a directory of files", () => {
  let out: string;
  let stamps: unknown;
  const check = (more: Partial<CheckOutputsOptions> = {}): Promise<string | undefined> =>
    checkOutputs([localDir(out)], stamps, context(more));

  beforeEach(async () => {
    out = join(dir, "files");
    mkdirSync(join(out, "etc", "empty"), { recursive: true });
    writeFileSync(join(out, "a"), "content of a");
    writeFileSync(join(out, "etc", "b"), "content of b");
    symlinkSync("a", join(out, "l"));
    stamps = await stamp([localDir(out)], [record("local", out)]);
  });

  it("is there when nothing happened", async () => {
    expect(await check()).toBeUndefined();
  });

  it("is not there after any change", async () => {
    const b = join(out, "etc", "b");
    const edits: readonly (readonly [edit: () => void, why: string])[] = [
      [() => flipByte(b), "has another etc/b"],
      [() => appendFileSync(b, "x"), "has another etc/b"],
      [() => rmSync(b), "lacks etc/b"],
      [() => writeFileSync(join(out, "new"), ""), "has new as well"],
      [() => mkdirSync(join(out, "etc", "more")), "has etc/more as well"],
      [() => rmSync(join(out, "etc", "empty"), { recursive: true }), "lacks etc/empty"],
      [() => execFileSync("chmod", ["600", b]), "has another etc/b"],
      [() => execFileSync("chmod", ["700", join(out, "etc")]), "has another etc"],
      [() => renameSync(b, join(out, "etc", "c")), "lacks etc/b"],
      [() => linkSync(b, join(out, "hard")), "has another etc/b"],
      [
        () => {
          rmSync(join(out, "l"));
          symlinkSync("b", join(out, "l"));
        },
        "has another l",
      ],
      [
        () => {
          cpSync(b, join(dir, "same"), { preserveTimestamps: true });
          rmSync(b);
          symlinkSync(join(dir, "same"), b);
        },
        "has another etc/b",
      ],
    ];
    for (const [edit, why] of edits) {
      rmSync(out, { recursive: true });
      mkdirSync(join(out, "etc", "empty"), { recursive: true });
      writeFileSync(join(out, "a"), "content of a");
      writeFileSync(b, "content of b");
      symlinkSync("a", join(out, "l"));
      stamps = await stamp([localDir(out)], [record("local", out)]);
      expect(await check()).toBeUndefined();
      edit();
      expect(await check(), why).toBe(`${out} ${why}`);
    }
  });

  it("is not there when it is a link, or gone", async () => {
    renameSync(out, join(dir, "moved"));
    expect(await check()).toBe(`${out} is gone`);
    symlinkSync(join(dir, "moved"), out);
    expect(await check()).toBe(`${out} is a link to ${join(dir, "moved")} now`);
  });

  it("of many files is told by a digest", async () => {
    for (let index = 0; index < 1_200; index += 1) writeFileSync(join(out, `f${index}`), "x");
    stamps = await stamp([localDir(out)], [record("local", out)]);
    expect(JSON.stringify(stamps).length).toBeLessThan(1_000);
    expect(await check()).toBeUndefined();
    flipByte(join(out, "f700"));
    expect(await check()).toBe(`${out} was changed`);
    rmSync(join(out, "f700"));
    expect(await check()).toContain("in place of");
  });

  it("cannot be stamped while its times do not tell", async () => {
    const stamped = await stampOutputs([localDir(out)], [record("local", out)], {
      ...context({ now: () => Date.now() - 3_600_000 }),
    });
    expect(stamped).toEqual({ stamps: undefined, reason: expect.stringContaining("still being written") });
  });

  it("may be walked by somebody else", async () => {
    const walked: string[] = [];
    expect(
      await check({
        scan: (path, options) => {
          walked.push(path);
          return scanDirectory(path, options);
        },
      }),
    ).toBeUndefined();
    expect(walked).toEqual([out]);
  });

  it("ends with the signal", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(check({ signal })).rejects.toThrow("enough");
  });
});

describe("an image in a registry", () => {
  let registry: FakeRegistry;
  const bytes = Buffer.from('{"schemaVersion":2}');
  const digest = sha256(bytes);
  let outputs: readonly Output[];
  let stamps: unknown;
  const check = (): Promise<string | undefined> => checkOutputs(outputs, stamps, context({ timeoutMs: 300 }));
  const put = (name: string, content = bytes): void => {
    registry.manifests.set(name, { mediaType: mediaTypes.ociManifest, bytes: content });
  };

  beforeEach(async () => {
    registry = await startFakeRegistry();
    for (const name of ["app:1", "app:latest", "team/app:2"]) put(name);
    const names = ["app:1", "app", "team/app:2"].map((name) => `${registry.host}/${name}`);
    outputs = [registryOutput(names)];
    stamps = await stamp(outputs, [record("registry", names.join(","), digest)]);
  });

  afterEach(() => registry[Symbol.asyncDispose]());

  it("is asked for by one HEAD a name", async () => {
    expect(registry.seen).toEqual([]);
    expect(await check()).toBeUndefined();
    expect(registry.seen.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
      "HEAD /v2/app/manifests/1",
      "HEAD /v2/app/manifests/latest",
      "HEAD /v2/team/app/manifests/2",
    ]);
  });

  it("is not there when any of its names is deleted or moved", async () => {
    const other = Buffer.from("{}");
    put("team/app:2", other);
    expect(await check()).toBe(`${registry.host}/team/app:2 is ${sha256(other)} now`);
    registry.manifests.delete("app:latest");
    expect(await check()).toBe(`the registry has no ${registry.host}/app any more`);
  });

  it("is not there when the registry fails, refuses, lies about it or is silent", async () => {
    registry.intercept = (_request, response) => {
      response.writeHead(500).end();
      return true;
    };
    expect(await check()).toContain("the registry answers 500");
    registry.intercept = (_request, response) => {
      fail(response, 401, "UNAUTHORIZED", "who are you");
      return true;
    };
    expect(await check()).toContain("login");
    registry.intercept = (_request, response) => {
      response.writeHead(200, { "docker-content-digest": "sha256:1", "content-length": 2 }).end("{}");
      return true;
    };
    expect(await check()).toContain(`is ${sha256("{}")} now`);
    registry.intercept = () => true;
    expect(await check()).toContain("has not answered within 0.3 s");
  });

  it("that was pushed by digest is asked for by it", async () => {
    outputs = [registryOutput(`${registry.host}/app`, { pushByDigest: true })];
    stamps = await stamp(outputs, [record("registry", "x", digest)]);
    expect(await check()).toContain("has no");
    put(`app@${digest}`);
    expect(await check()).toBeUndefined();
    expect(registry.seen.at(-1)?.path).toBe(`/v2/app/manifests/${digest}`);
  });

  it("whose digest is not known, or that has another name, is not taken for it", async () => {
    const stamped = await stampOutputs(outputs, [record("registry", "x")], context());
    expect(stamped).toEqual({ stamps: undefined, reason: expect.stringContaining("not told the digest") });
    outputs = [registryOutput(`${registry.host}/app:1`)];
    expect(await check()).toContain("other outputs");
    expect(await checkOutputs([], stamps, context())).toContain("other outputs");
    expect(registry.seen).toEqual([]);
  });
});

describe("an image in Docker's store", () => {
  let docker: Server;
  let images: Map<string, { readonly Id: string; readonly RepoTags: readonly string[] | null }>;
  const digest = sha256("image");
  const outputs = [dockerImage(["app:1", "localhost:5000/app"])];
  let stamps: unknown;
  const check = (): Promise<string | undefined> => checkOutputs(outputs, stamps, context());

  beforeEach(async () => {
    const tags = ["app:1", "localhost:5000/app:latest"];
    images = new Map([
      ["app:1", { Id: digest, RepoTags: tags }],
      ["localhost:5000/app", { Id: digest, RepoTags: tags }],
    ]);
    docker = createServer((request, response) => {
      const name = decodeURIComponent(/^\/images\/(.+)\/json$/.exec(request.url ?? "")?.[1] ?? "");
      const found = images.get(name);
      response.writeHead(found === undefined ? 404 : 200);
      response.end(JSON.stringify(found ?? { message: "No such image" }));
    });
    await new Promise<void>((resolve) => docker.listen(join(dir, "docker.sock"), resolve));
    stamps = await stamp(outputs, [record("docker-image", "x", digest)]);
  });

  afterEach(() => {
    docker.close();
  });

  it("is there under all its names", async () => {
    expect(await check()).toBeUndefined();
  });

  it("is not there when a name is gone, moved, or is but the beginning of an id", async () => {
    images.set("app:1", { Id: sha256("other"), RepoTags: ["app:1"] });
    expect(await check()).toBe(`app:1 is ${sha256("other")} in Docker's store now`);
    images.set("app:1", { Id: digest, RepoTags: null });
    expect(await check()).toBe("Docker has no app:1 any more");
    images.delete("app:1");
    expect(await check()).toBe("Docker has no app:1 any more");
  });

  it("is not there when Docker is not", async () => {
    docker.close();
    expect(await check()).toContain("cannot ask");
    const other = { ...context(), daemon: { address: "unix:///run/buildkit/buildkitd.sock" } };
    expect(await checkOutputs(outputs, stamps, other)).toContain("is no Docker Engine");
  });
});

describe("a published image", () => {
  it("is there while its name in the store is", async () => {
    const layout = join(dir, "layout");
    const first = await writeFakeImage(layout, { label: "a", layers: ["a"] });
    const store = await ImageStore.open(join(dir, "store"));
    await store.publishFrom(layout, first.digest, "app");
    const more = { publish: "app" };
    const outputs = [ociLayout(layout)];
    const records = [record("oci", layout, first.digest), record("published", "app:latest", first.digest)];
    const stamps = await stamp(outputs, records, more);
    const check = (publish = "app"): Promise<string | undefined> =>
      checkOutputs(outputs, stamps, context({ publish }));
    expect(await check()).toBeUndefined();
    expect(await check("app:v2")).toContain("other outputs");
    expect(await checkOutputs(outputs, stamps, context())).toContain("other outputs");
    const elsewhere = context({ ...more, images: { kind: "directory", dir: join(dir, "second") } });
    expect(await checkOutputs(outputs, stamps, elsewhere)).toBe("app:latest was published elsewhere");
    const second = await writeFakeImage(join(dir, "other"), { label: "b", layers: ["b"] });
    await store.publishFrom(join(dir, "other"), undefined, "app");
    expect(await check()).toBe(`the layout ${store.dir}: app:latest is ${second.digest} now`);
    await store.publishFrom(layout, first.digest, "app");
    expect(await check()).toBeUndefined();
    await store.remove("app");
    expect(await check()).toBe(`the layout ${store.dir}: its index has no app:latest any more`);
  });

  it("is there while its tag in the registry is", async () => {
    await using registry = await startFakeRegistry();
    const bytes = Buffer.from("{}");
    registry.manifests.set("images:my__app_-_v1", { mediaType: mediaTypes.ociManifest, bytes });
    const more = {
      publish: "my_app:v1",
      images: { kind: "registry", repository: `${registry.host}/images` },
    } as const;
    const stamps = await stamp([], [record("published", "my_app:v1", sha256(bytes))], more);
    expect(await checkOutputs([], stamps, context(more))).toBeUndefined();
    registry.manifests.clear();
    expect(await checkOutputs([], stamps, context(more))).toContain("has no");
  });
});

describe("what is recorded", () => {
  it("is believed only when it is whole", async () => {
    const out = join(dir, "out");
    const { digest } = await writeFakeImage(out, { label: "a", layers: ["one", "two"] });
    const outputs = [ociLayout(out)];
    const stamps = await stamp(outputs, [record("oci", out, digest)]);
    const text = JSON.stringify(stamps);
    for (const damaged of [
      undefined,
      null,
      [],
      {},
      [{}],
      [null],
      [{ type: "oci-layout", dir: out }],
      [{ type: "unknown" }],
      JSON.parse(text.replace(/"blobs":\[.*\]\}/, '"blobs":[]}')),
      JSON.parse(text.replaceAll("sha256:", "sha1:")),
    ]) {
      expect(await checkOutputs(outputs, damaged, context()), JSON.stringify(damaged)).toBeTypeOf("string");
    }
    // Which blobs there have to be is the manifest's to say.
    const fewer = JSON.parse(
      text.replace(/,"blobs":\[.*\]\}/, `,"blobs":[{"digest":"${digest}","size":1}]}`),
    );
    expect(JSON.stringify(fewer).length).toBeLessThan(text.length);
    expect(await checkOutputs(outputs, fewer, context())).toBeUndefined();
    truncateSync(join(out, "blobs", "sha256", sha256("two").slice(7)), 2);
    expect(await checkOutputs(outputs, fewer, context())).toContain("has 2 bytes in place of 3");
    expect(readdirSync(out).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
  });

  it("has a record for each output", async () => {
    const stamped = await stampOutputs([registryOutput("a"), registryOutput("b")], [], context());
    expect(stamped).toEqual({ stamps: undefined, reason: expect.stringContaining("each output") });
    expect(await checkOutputs([], await stamp([], []), context())).toBeUndefined();
  });
});

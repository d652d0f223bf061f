import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseAnnotation } from "../../../src/cli/annotation-spec.js";
import { parseAttestations } from "../../../src/cli/attest-spec.js";
import { parseCacheFrom, parseCacheTo } from "../../../src/cli/cache-spec.js";
import { parseOutput } from "../../../src/cli/output-spec.js";
import { imageIdOf, metadataOf } from "../../../src/cli/result-files.js";
import { parseSecrets, parseSsh } from "../../../src/cli/secret-spec.js";
import { parseSolveFlags, type SolveFlags } from "../../../src/cli/solve-flags.js";
import { parseSourcePolicy } from "../../../src/solver/supply-chain/source-policy-json.js";

const invalid = (text: string): unknown =>
  expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT", message: expect.stringContaining(text) });

/** What a call throws, with its hint in the message. */
function refusal(call: () => unknown): Error & { hint: string } {
  try {
    call();
  } catch (error) {
    return error as Error & { hint: string };
  }
  throw new Error("it was not refused");
}

describe("--cache-to and --cache-from", () => {
  it.each([
    ["localhost:5000/a:cache", { type: "registry", ref: "localhost:5000/a:cache" }],
    [
      "type=registry,ref=r/a,mode=max,ignore-error=true,compression=zstd,compression-level=3,image-manifest=false,oci-mediatypes=true,force-compression=1,registry.insecure=true",
      {
        type: "registry",
        ref: "r/a",
        mode: "max",
        ignoreError: true,
        compression: "zstd",
        compressionLevel: 3,
        imageManifest: false,
        ociMediaTypes: true,
        forceCompression: true,
        insecure: true,
      },
    ],
    ['type=local,"dest=a,b",tag=t,reset=true', { type: "local", dir: "a,b", tag: "t", reset: true }],
    ["type=inline", { type: "inline" }],
    ["type=gha,scope=s,timeout=1m30s", { type: "gha", scope: "s", timeoutMs: 90_000 }],
    [
      "type=s3,bucket=b,name=one;two,touch_refresh=24h,upload_parallelism=4",
      { type: "s3", bucket: "b", names: ["one", "two"], touchRefreshMs: 86_400_000, uploadParallelism: 4 },
    ],
    [
      "type=azblob,account_url=u,secret_access_key=k",
      { type: "azblob", accountUrl: "u", secretAccessKey: "k" },
    ],
  ])("writes to %s", (text, expected) => {
    expect(parseCacheTo(text)).toEqual(expected);
  });

  it("reads from", () => {
    expect(parseCacheFrom("type=local,src=d,tag=t")).toEqual({ type: "local", dir: "d", tag: "t" });
    expect(parseCacheFrom("r/a:c")).toEqual({ type: "registry", ref: "r/a:c" });
  });

  it("refuses with what is allowed, and shows no value", () => {
    const to = (text: string) => refusal(() => parseCacheTo(text));
    const from = (text: string) => refusal(() => parseCacheFrom(text));
    expect(to("type=ftp")).toEqual(invalid('--cache-to: there is no type "ftp"'));
    expect(to("type=ftp").hint).toContain("registry, local, gha, s3, azblob, inline");
    expect(to("type=local,src=x").hint).toContain("dest, tag, reset, mode");
    expect(from("type=inline")).toEqual(invalid("--cache-from"));
    expect(from("type=registry,ref=a,mode=max").hint).toContain("ref, registry.insecure");
    expect(to("ref=a")).toEqual(invalid("it has no type"));
    expect(to("type=registry,ref=a,ref=b")).toEqual(invalid("twice"));
    expect(to("type=registry,ref=a,ignore-error=maybe")).toEqual(invalid("ignore-error"));
    expect(to("type=gha,timeout=soon")).toEqual(invalid("timeout"));
    expect(to("type=registry,ref=a,compression-level=high")).toEqual(invalid("compression-level"));
    expect(to('type=local,"dest=a')).toEqual(invalid("quote"));
    const secret = to("type=s3,secret_acces_key=hush");
    expect(secret).toEqual(invalid("secret_acces_key"));
    expect(`${secret.message} ${secret.hint}`).not.toContain("hush");
  });
});

describe("--provenance, --sbom and --attest", () => {
  it.each([
    [{}, undefined],
    [{ provenance: "true" }, { provenance: true }],
    [
      { provenance: "false", sbom: "1" },
      { provenance: false, sbom: true },
    ],
    [
      { provenance: "mode=min,version=v1,builder-id=u,reproducible=true,inline-only=false,filename=p" },
      {
        provenance: {
          mode: "min",
          version: "v1",
          builderId: "u",
          reproducible: true,
          inlineOnly: false,
          filename: "p",
        },
      },
    ],
    [{ sbom: "generator=i,extra=x" }, { sbom: { generator: "i", parameters: { extra: "x" } } }],
    [
      { attest: ["type=provenance,mode=max", "type=sbom"] },
      { provenance: { mode: "max" }, sbom: { parameters: {} } },
    ],
    [{ attest: ["type=provenance,disabled=true"] }, { provenance: false }],
  ])("%j", (flags, expected) => {
    expect(parseAttestations(flags)).toEqual(expected);
  });

  it("are refused with what is allowed", () => {
    const refused = (flags: Parameters<typeof parseAttestations>[0]) =>
      refusal(() => parseAttestations(flags));
    expect(refused({ provenance: "maybe" })).toEqual(invalid("--provenance"));
    expect(refused({ provenance: "mod=max" }).hint).toContain("builder-id");
    expect(refused({ attest: ["mode=max"] }).hint).toContain("provenance, sbom");
    expect(refused({ attest: ["type=vex"] })).toEqual(invalid('no type "vex"'));
    expect(refused({ sbom: "true", attest: ["type=sbom"] })).toEqual(invalid("twice"));
    expect(refused({ provenance: "reproducible=maybe" })).toEqual(invalid("reproducible"));
  });
});

describe("--secret and --ssh", () => {
  it("name sources, without reading them", () => {
    const texts = [
      "id=a,src=./f",
      "id=b,env=B",
      "id=SET",
      "id=unset",
      "type=env,id=c,src=C",
      "type=file,id=d",
    ];
    expect(parseSecrets(texts, { SET: "hush" })).toEqual({
      a: { file: "./f" },
      b: { env: "B" },
      SET: { env: "SET" },
      unset: { file: "unset" },
      c: { env: "C" },
      d: { file: "d" },
    });
    expect(parseSsh(["default", "a=/s", "b=/t,raw=true", "c=package.json,tsconfig.json"], ".")).toEqual({
      default: { agent: true },
      a: { agent: "/s" },
      b: { socket: "/t" },
      c: { keys: ["package.json", "tsconfig.json"] },
    });
  });

  it.each([
    ["src=f", "it has no id"],
    ["id=a,file=f", 'no key "file"'],
    ["id=a,src=f,env=E", "a file and a variable"],
    ["id=a,type=vault", 'no type "vault"'],
    ["id=a,src=", "empty"],
    ["hush", "no key=value"],
  ])("refuses --secret %s", (text, why) => {
    expect(() => parseSecrets([text], {})).toThrow(why);
  });

  it.each([
    ["", "it has no id"],
    ["a=", "needs a socket"],
    ["a=/k1,/k2", "needs one socket"],
    ["a=/s,raw=maybe", "raw"],
    ["a=package.json,raw=true", "cannot be raw"],
  ])("refuses --ssh %s", (text, why) => {
    expect(() => parseSsh([text], ".")).toThrow(why);
    expect(() => parseSsh(["x", "x"], ".")).toThrow("twice");
  });
});

describe("--annotation", () => {
  const amd64 = { os: "linux", architecture: "amd64" };
  it.each([
    ["a.b=c=d", [{ key: "a.b", value: "c=d" }]],
    ["index:a=", [{ key: "a", value: "", on: "index" }]],
    [
      "index,manifest[linux/amd64]:a:b=c",
      [
        { key: "a:b", value: "c", on: "index" },
        { key: "a:b", value: "c", on: "manifest", platform: amd64 },
      ],
    ],
  ])("%s", (text, expected) => {
    expect(parseAnnotation(text)).toEqual(expected);
    expect(parseOutput("oci:d", parseAnnotation(text))).toMatchObject({ options: { annotations: expected } });
  });

  it("is refused with the levels", () => {
    expect(refusal(() => parseAnnotation("layer:a=b")).hint).toContain("manifest-descriptor");
    expect(() => parseAnnotation("novalue")).toThrow("KEY=VALUE");
  });
});

describe("--source-policy-file", () => {
  it("is BuildKit's JSON", () => {
    const text = JSON.stringify({
      version: 1,
      rules: [
        { action: "DENY", selector: { identifier: "docker-image://a" } },
        {
          action: "CONVERT",
          selector: {
            identifier: "docker-image://b",
            match_type: "EXACT",
            constraints: [{ key: "k", value: "v", condition: "NOTEQUAL" }],
          },
          updates: { identifier: "docker-image://c", attrs: { "http.checksum": "x" } },
        },
        { action: 0, selector: { identifier: ".*", matchType: 2 } },
      ],
    });
    expect(parseSourcePolicy(text)).toEqual({
      rules: [
        { action: "deny", selector: { identifier: "docker-image://a", match: "wildcard", constraints: [] } },
        {
          action: "convert",
          selector: {
            identifier: "docker-image://b",
            match: "exact",
            constraints: [{ key: "k", value: "v", condition: "not-equal" }],
          },
          updates: { identifier: "docker-image://c", attrs: { "http.checksum": "x" } },
        },
        { action: "allow", selector: { identifier: ".*", match: "regex", constraints: [] } },
      ],
    });
  });

  it.each([
    ["{", "no JSON"],
    ["[]", "no object"],
    ['{"version":2,"rules":[]}', "version"],
    ['{"rules":{}}', "no array"],
    ['{"rules":[{"action":"FORBID","selector":{"identifier":"a"}}]}', "rules[0].action"],
    ['{"rules":[{"action":"DENY","selektor":{}}]}', "selektor"],
    ['{"rules":[{"action":"DENY","selector":{}}]}', "identifier"],
    ['{"rules":[{"action":"CONVERT","selector":{"identifier":"a"},"updates":{}}]}', "updates"],
  ])("refuses %s", (text, why) => {
    expect(() => parseSourcePolicy(text)).toThrow(why);
  });
});

it("gathers the flags, and refuses a right that there is not", async () => {
  const dir = mkdtempSync(join(tmpdir(), "kiln-flags-"));
  try {
    writeFileSync(join(dir, "policy.json"), '{"rules":[]}');
    const none: SolveFlags = { cacheTo: [], cacheFrom: [], attest: [], secret: [], ssh: [], allow: [] };
    const place = { env: {}, cwd: dir };
    const allow = ["network.host", "device=vendor.example/gpu=0"];
    expect(await parseSolveFlags({ ...none, allow, sourcePolicyFile: "policy.json" }, place)).toMatchObject({
      entitlements: allow,
      sourcePolicy: { rules: [] },
    });
    expect(await parseSolveFlags({ ...none, lock: "kiln.lock", pull: "locked" }, place)).toMatchObject({
      sourceLock: "kiln.lock",
      pull: "locked",
    });
    await expect(parseSolveFlags({ ...none, pull: "locked" }, place)).rejects.toEqual(
      invalid("needs a lock file"),
    );
    await expect(parseSolveFlags({ ...none, lock: "l", pull: "never" }, place)).rejects.toEqual(
      invalid('no mode "never"'),
    );
    await expect(parseSolveFlags({ ...none, allow: ["root"] }, place)).rejects.toEqual(
      invalid('no right "root"'),
    );
    await expect(parseSolveFlags({ ...none, sourcePolicyFile: "gone" }, place)).rejects.toMatchObject({
      code: "ERR_KILN_FILE_NOT_FOUND",
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

it("tells a build's metadata and image id", () => {
  const exporterResponse = {
    "containerimage.digest": "sha256:i",
    "containerimage.descriptor": Buffer.from('{"size":1}').toString("base64"),
    "image.name": "a/b",
    "cache.manifest": '{"digest":"x"}',
  };
  expect(metadataOf({ ref: "r", exporterResponse })).toEqual({
    "cache.manifest": { digest: "x" },
    "containerimage.descriptor": { size: 1 },
    "containerimage.digest": "sha256:i",
    "image.name": "a/b",
    "kiln.build.ref": "r",
  });
  expect(imageIdOf({ digest: undefined, exporterResponse })).toBe("sha256:i");
  const withConfig = { ...exporterResponse, "containerimage.config.digest": "sha256:c" };
  expect(imageIdOf({ digest: undefined, exporterResponse: withConfig })).toBe("sha256:c");
  expect(imageIdOf({ digest: "sha256:d", exporterResponse: {} })).toBe("sha256:d");
});

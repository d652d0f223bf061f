import { describe, expect, it } from "vitest";
import type { DaemonFacts } from "../../../src/model/daemon.js";
import { annotationAttrs } from "../../../src/solver/annotations.js";
import { type CacheExport, cacheAttrs } from "../../../src/solver/caches/cache-options.js";
import { localDir, ociLayout, registry } from "../../../src/solver/outputs.js";
import { preflightVersions } from "../../../src/solver/preflight-versions.js";
import type { SolveSettings } from "../../../src/solver/solve-settings.js";
import { attestationAttrs } from "../../../src/solver/supply-chain/attestation-options.js";
import { sourcePolicyToPb } from "../../../src/solver/supply-chain/source-policy.js";

const wrong = expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT" });
const unknown = expect.objectContaining({ code: "ERR_KILN_UNKNOWN_OPTION" });

function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("caches as the daemon takes them", () => {
  it("have BuildKit's attributes", () => {
    const attrs = (cache: CacheExport): Record<string, string> => cacheAttrs("export", 0, cache);
    expect(attrs({ type: "inline" })).toEqual({});
    expect(
      attrs({
        type: "registry",
        ref: "r.example.com/a:c",
        insecure: true,
        mode: "max",
        ignoreError: true,
        compression: "zstd",
        compressionLevel: 3,
        forceCompression: true,
        ociMediaTypes: true,
        imageManifest: false,
      }),
    ).toEqual({
      ref: "r.example.com/a:c",
      "registry.insecure": "true",
      mode: "max",
      "ignore-error": "true",
      compression: "zstd",
      "compression-level": "3",
      "force-compression": "true",
      "oci-mediatypes": "true",
      "image-manifest": "false",
    });
    expect(attrs({ type: "local", dir: "/somewhere", tag: "t", mode: "min", reset: true })).toEqual({
      mode: "min",
    });
    expect(
      attrs({
        type: "gha",
        url: "u",
        urlV2: "u2",
        version: "2",
        token: "t",
        scope: "s",
        timeoutMs: 1500,
        repository: "o/r",
        ghToken: "g",
      }),
    ).toEqual({
      url: "u",
      url_v2: "u2",
      version: "2",
      token: "t",
      scope: "s",
      timeout: "1500ms",
      repository: "o/r",
      ghtoken: "g",
    });
    expect(
      attrs({
        type: "s3",
        bucket: "b",
        region: "r",
        prefix: "p/",
        manifestsPrefix: "m/",
        blobsPrefix: "x/",
        names: ["one", "two"],
        endpointUrl: "http://e",
        accessKeyId: "k",
        secretAccessKey: "s",
        sessionToken: "t",
        usePathStyle: true,
        touchRefreshMs: 86_400_000,
        uploadParallelism: 4,
      }),
    ).toEqual({
      bucket: "b",
      region: "r",
      prefix: "p/",
      manifests_prefix: "m/",
      blobs_prefix: "x/",
      name: "one;two",
      endpoint_url: "http://e",
      access_key_id: "k",
      secret_access_key: "s",
      session_token: "t",
      use_path_style: "true",
      touch_refresh: "86400000ms",
      upload_parallelism: "4",
    });
    expect(
      attrs({ type: "azblob", accountUrl: "a", accountName: "n", container: "c", secretAccessKey: "s" }),
    ).toEqual({ account_url: "a", account_name: "n", container: "c", secret_access_key: "s" });
  });

  it("are refused by name, without a value", () => {
    const refused = (cache: unknown, direction: "export" | "import" = "export"): unknown =>
      thrown(() => cacheAttrs(direction, 2, cache as CacheExport));
    expect(refused({ type: "ftp" })).toEqual(wrong);
    expect(refused({ type: "registry" })).toEqual(wrong);
    expect(refused({ type: "local", dir: "" })).toEqual(wrong);
    expect(refused({ type: "local", dir: "d", digest: "sha256:no" }, "import")).toEqual(wrong);
    expect(refused({ type: "local", dir: "d", reset: true }, "import")).toEqual(unknown);
    expect(refused({ type: "registry", ref: "r", mode: "most" })).toEqual(wrong);
    expect(refused({ type: "registry", ref: "r", mode: "max" }, "import")).toEqual(unknown);
    expect(refused({ type: "inline" }, "import")).toEqual(wrong);
    expect(refused({ type: "inline", mode: "max" })).toEqual(unknown);
    expect(refused({ type: "s3", acces_key_id: "k" })).toEqual(unknown);
    expect(refused({ type: "s3", uploadParallelism: 0 })).toEqual(wrong);
    expect(refused({ type: "gha", repository: "o/r" })).toEqual(wrong);
    const secret = refused({ type: "s3", secretAccessKey: ["hush"] }) as Error;
    expect(secret).toEqual(wrong);
    expect(secret.message).toContain("cacheExports[2]");
    expect(secret.message).not.toContain("hush");
  });
});

describe("attestations as the daemon takes them", () => {
  it("have BuildKit's attributes, quoted where needed", () => {
    expect(attestationAttrs(undefined)).toEqual({});
    expect(attestationAttrs({ provenance: false, sbom: false })).toEqual({});
    expect(attestationAttrs({ provenance: true, sbom: true })).toEqual({
      "attest:provenance": "mode=max",
      "attest:sbom": "",
    });
    expect(
      attestationAttrs({
        provenance: {
          mode: "min",
          version: "v1",
          builderId: 'https://example.com/a,"b"',
          reproducible: true,
          filename: "p.json",
          inlineOnly: true,
        },
        sbom: { generator: "r.example.com/scan:1", parameters: { DEPTH: "2" } },
      }),
    ).toEqual({
      "attest:provenance":
        'mode=min,version=v1,"builder-id=https://example.com/a,""b""",reproducible=true,filename=p.json,inline-only=true',
      "attest:sbom": "generator=r.example.com/scan:1,DEPTH=2",
    });
    expect(thrown(() => attestationAttrs({ provenance: { mode: "mid" as "min" } }))).toEqual(wrong);
    expect(thrown(() => attestationAttrs({ sbom: { parameters: { "a=b": "c" } } }))).toEqual(wrong);
    expect(thrown(() => attestationAttrs({ sbomm: true } as object))).toEqual(unknown);
  });
});

describe("annotations as the exporter takes them", () => {
  it("say what carries them and for which platform", () => {
    expect(annotationAttrs("x", { a: "1", "org.example.b": "two" })).toEqual({
      "annotation-manifest.a": "1",
      "annotation-manifest.org.example.b": "two",
    });
    expect(
      annotationAttrs("x", [
        { key: "k", value: "v", on: "index" },
        { key: "k", value: "w", on: "manifest-descriptor", platform: { os: "linux", architecture: "arm64" } },
        { key: "k", value: "x", on: "index-descriptor" },
      ]),
    ).toEqual({
      "annotation-index.k": "v",
      "annotation-manifest-descriptor[linux/arm64].k": "w",
      "annotation-index-descriptor.k": "x",
    });
    expect(thrown(() => annotationAttrs("x", [{ key: "", value: "v" }]))).toEqual(wrong);
    expect(
      thrown(() => registry("a/b", { annotations: [{ key: "k", value: "v", on: "layer" as "index" }] })),
    ).toEqual(wrong);
  });
});

describe("a source policy as the daemon takes it", () => {
  it("has BuildKit's numbers", () => {
    expect(
      sourcePolicyToPb({
        rules: [
          { action: "deny", selector: { identifier: "*" } },
          {
            action: "allow",
            selector: {
              identifier: "^docker-image://.*$",
              match: "regex",
              constraints: [{ key: "image.resolvemode", value: "p.*", condition: "matches" }],
            },
          },
          {
            action: "convert",
            selector: { identifier: "docker-image://a.b", match: "exact" },
            updates: { identifier: "docker-image://$1", attrs: { "http.checksum": "sha256:x" } },
          },
        ],
      }),
    ).toEqual({
      version: 1n,
      rules: [
        { action: 1, selector: { identifier: "*", matchType: 0, constraints: [] } },
        {
          action: 0,
          selector: {
            identifier: "^docker-image://.*$",
            matchType: 2,
            constraints: [{ key: "image.resolvemode", value: "p.*", condition: 2 }],
          },
        },
        {
          action: 2,
          // The daemon takes no new identifier from an exact rule.
          selector: { identifier: "^docker-image://a\\.b$", matchType: 2, constraints: [] },
          updates: { identifier: "docker-image://$$1", attrs: { "http.checksum": "sha256:x" } },
        },
      ],
    });
    const refused = (rule: unknown): unknown =>
      thrown(() =>
        sourcePolicyToPb({ rules: [rule as { action: "deny"; selector: { identifier: string } }] }),
      );
    expect(refused({ action: "forbid", selector: { identifier: "*" } })).toEqual(wrong);
    expect(refused({ action: "deny", selector: { identifier: "" } })).toEqual(wrong);
    expect(refused({ action: "deny", selector: { identifier: "*" }, updates: {} })).toEqual(unknown);
    expect(refused({ action: "convert", selector: { identifier: "*" }, updates: {} })).toEqual(wrong);
  });

  // What BuildKit's ValidateSourcePolicy sends to a daemon is refused here.
  it("is refused at the call when it makes no sense", () => {
    const selector = { identifier: "*" };
    const deny = (more: object) => ({ rules: [{ action: "deny", selector: { ...selector, ...more } }] });
    const convert = (more: object) => ({ rules: [{ action: "convert", selector, ...more }] });
    for (const [title, policy, words] of [
      ["null", null, "sourcePolicy: options must be an object"],
      ["a number", 5, "sourcePolicy: options must be an object"],
      ["null rules", { rules: null }, "rules must be an array"],
      ["a null rule", { rules: [null] }, "sourcePolicy.rules[0]: options must be an object"],
      ["no action", { rules: [{ selector }] }, "action must be one of"],
      ["action 9000", { rules: [{ action: 9000, selector }] }, "action must be one of"],
      ["no selector", { rules: [{ action: "convert" }] }, "sourcePolicy.rules[0].selector: is missing"],
      [
        "a null selector",
        { rules: [{ action: "deny", selector: null }] },
        "selector: options must be an object",
      ],
      ["a number for a match", deny({ match: 2 }), "match must be one of"],
      ["constraints that are no list", deny({ constraints: {} }), "constraints must be an array"],
      ["a null constraint", deny({ constraints: [null] }), "constraints[0]: options must be an object"],
      ["a constraint of nothing", deny({ constraints: [{ value: "v" }] }), "key must be a string"],
      ["no updates", convert({}), "sourcePolicy.rules[0].updates: is missing"],
      ["null updates", convert({ updates: null }), "updates: options must be an object"],
      ["null attrs", convert({ updates: { attrs: null } }), "attrs must be"],
      ["attrs of numbers", convert({ updates: { attrs: { a: 5 } } }), "attrs.a must be a string"],
    ] as const) {
      const error = thrown(() => sourcePolicyToPb(policy as never)) as Error;
      expect(error, title).toEqual(wrong);
      expect(error.message, title).toContain(words);
    }
    for (const policy of [{ version: 1, rules: [] }, deny({ constraints: [{ key: "k", valu: "v" }] })]) {
      expect(thrown(() => sourcePolicyToPb(policy as never))).toEqual(unknown);
    }
  });
});

describe("options that came with a certain BuildKit", () => {
  const facts = (buildkitVersion: string | undefined): DaemonFacts =>
    ({ address: "docker://x", buildkitVersion }) as DaemonFacts;
  const cases: readonly (readonly [name: string, use: Partial<SolveSettings>, version: string])[] = [
    ["ociArtifact", { outputs: [registry("a/b", { ociArtifact: true })] }, "0.19"],
    ["rewriteTimestamp", { outputs: [ociLayout("d", { rewriteTimestamp: true })] }, "0.13"],
    ["mode", { outputs: [localDir("d", { mode: "delete" })] }, "0.31"],
    ["compatibilityVersion", { compatibilityVersion: 20 }, "0.30"],
    ["proxyNetwork", { proxyNetwork: true }, "0.31"],
    ["provenance", { attestations: { provenance: { version: "v1" } } }, "0.23"],
    ["entitlement device", { entitlements: ["device=vendor.example/gpu=0"] }, "0.20"],
    ["urlV2", { cacheImports: [{ type: "gha", urlV2: "u" }] }, "0.20"],
  ];
  for (const [name, use, version] of cases) {
    it(`are refused before it and taken from it on: ${name}`, () => {
      const minor = Number(version.split(".")[1]);
      const run = (at: string | undefined): unknown =>
        thrown(() => preflightVersions(facts(at), { outputs: [], ...use }));
      const error = run(`0.${minor - 1}`) as Error;
      expect(error).toEqual(expect.objectContaining({ code: "ERR_KILN_UNSUPPORTED" }));
      expect(error.message).toContain(name);
      expect(error.message).toContain(`needs ${version}`);
      expect(run(version)).toBeUndefined();
      expect(run(undefined)).toBeUndefined();
    });
  }
});

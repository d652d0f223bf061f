import {
  git,
  http,
  image,
  imageBlob,
  local,
  mkdir,
  ociLayout,
  ociLayoutBlob,
} from "../../../src/llb/index.js";
import type { Platform } from "../../../src/oci/platform.js";
import { alpine, type Case, emptySha256 as sum, yes } from "./shared.js";

const arm64 = "linux/arm64";

const references = [
  ...["alpine", "alpine:3.20", "docker.io/alpine", "index.docker.io/library/alpine", "localhost/x"],
  ...["localhost:5000/a/b:1", `ghcr.io/a/b@${sum}`, "a/b", `a/b:v1@${sum}`, "MyHost/x"],
  ...["quay.io/a_b/c__d/e.f-g:T_.-1", "[fd00::1]:5000/x:y", `alpine@${sum}`],
];

const platforms: readonly Platform[] = [
  { os: "linux", architecture: "arm", variant: "v7" },
  { os: "linux", architecture: "arm64", variant: "v8" },
  { os: "windows", architecture: "amd64", osVersion: "10.0.17763", osFeatures: ["win32k", "a"] },
  { os: "linux", architecture: "amd64", variant: "v3" },
];

const unusual: readonly Platform[] = [
  { os: "Linux", architecture: "I386", variant: "x" },
  { os: "macos", architecture: "x86_64", variant: "v1" },
  { os: "linux", architecture: "x86-64", variant: "V2" },
  { os: "linux", architecture: "aarch64", variant: "v8.0" },
  { os: "linux", architecture: "arm64", variant: "9" },
  { os: "linux", architecture: "armhf", variant: "v5" },
  { os: "linux", architecture: "armel" },
  { os: "linux", architecture: "arm" },
  { os: "linux", architecture: "arm", variant: "6" },
  { os: "linux", architecture: "riscv64", variant: "rva23" },
  { os: "linux", architecture: "amd64", osFeatures: ["b", "a", "b"] },
];

const gitAddresses = [
  ["https://github.com/moby/buildkit.git", ""],
  ["github.com/moby/buildkit", "v1:sub/../dir/"],
  ["git@github.com:moby/buildkit.git", "main"],
  ["ssh://git@example.com:22/a/b.git", "x"],
  ["HTTPS://user:pw@Example.com:8443/a%20b/c", ":sub"],
  ["git://h/p//q/", "r:"],
  ["http://h", "r:/"],
  ["https://h/a b", ""],
] as const;

/** Images with all their options, and platforms wherever one can be said. */
export const imageCases: Readonly<Record<string, Case>> = {
  ...Object.fromEntries(
    references.map((ref, index): [string, Case] => [`image-ref-${index}`, () => image(ref)]),
  ),
  "image-options": () =>
    image("alpine", { resolveMode: "local", recordType: "internal", layerLimit: 3, checksum: sum }),
  "image-resolve-default": () => image("alpine", { resolveMode: "default" }),
  ...Object.fromEntries(
    unusual.map((platform, index): [string, Case] => [
      `platform-normalized-${index}`,
      () => alpine.platform(platform).run(yes).root(),
    ]),
  ),
  ...Object.fromEntries(
    platforms.flatMap((platform): [string, Case][] => {
      const name = `${platform.os}-${platform.architecture}-${platform.variant ?? ""}`;
      return [
        [`image-platform-${name}`, () => image("alpine", { platform })],
        [`image-platform-exec-${name}`, () => image("alpine", { platform }).run(yes).root()],
        [
          `marshal-platform-${name}`,
          () => [
            alpine
              .run(yes)
              .root()
              .file(mkdir("/a", { mode: 0o755 })),
            { platform },
          ],
        ],
        [`state-platform-${name}`, () => alpine.platform(platform).run(yes).root()],
        [`exec-platform-${name}`, () => alpine.run(yes, { platform }).root().run(yes).root()],
      ];
    }),
  ),
};

/** All other sources with all their options. */
export const sourceCases: Readonly<Record<string, Case>> = {
  "local-unique": () => local("ctx"),
  "local-unique-own": () => local("ctx", { localUniqueId: "mine" }),
  "local-all": () =>
    local("ctx", {
      sessionId: "s",
      includePatterns: ["a<b>&c", "d\u2028e"],
      excludePatterns: ["*.tmp", '"q"\\\n\t\b\f\x7f é 😀'],
      followPaths: ["x/y"],
      sharedKeyHint: "hint",
      differ: { type: "metadata", required: true },
      metadataOnlyTransfer: ["keep"],
    }),
  "local-differ-optional": () =>
    local("ctx", { differ: { type: "none" }, metadataOnlyTransfer: [], includePatterns: [] }),
  "local-platform-ignored": () => local("ctx", { platform: arm64 }).run(yes).root(),
  "ocilayout-limit": () => ociLayout(`a/b@${sum}`, { layerLimit: 2 }),
  "ocilayout-store": () => ociLayout(`a/b@${sum}`, { storeId: "st", platform: arm64 }),
  imageblob: () => imageBlob(`alpine@${sum}`),
  "imageblob-all": () => imageBlob(`ghcr.io/a/b@${sum}`, { filename: "f", chmod: 0o104755, uid: 5, gid: 6 }),
  ocilayoutblob: () =>
    ociLayoutBlob(`a/b@${sum}`, { sessionId: "s", storeId: "st", filename: "g", uid: 0, gid: 7 }),
  http: () => http("https://example.com/a?b#c"),
  "http-all": () =>
    http("http://example.com/x", {
      checksum: sum,
      filename: "f",
      chmod: 0o600,
      uid: 1,
      gid: 2,
      authHeaderSecret: "S",
      header: { accept: "a/b", userAgent: "ua" },
      verifyPgpSignature: { pubKey: "pk", signature: "sig" },
    }),
  "http-empty-header": () => http("http://example.com/x", { header: {}, uid: 0, gid: 0, chmod: 0 }),
  ...Object.fromEntries(
    gitAddresses.map(([remote, ref], index): [string, Case] => [
      `git-url-${index}`,
      () => git(remote, ref, { knownSshHosts: "host key" }),
    ]),
  ),
  "git-all": () =>
    git("git@h.example:p", "ref", {
      ref: "other",
      subDir: "d",
      keepGitDir: true,
      authTokenSecret: "T",
      authHeaderSecret: "H",
      knownSshHosts: ["a\n", "b"],
      mountSshSock: "agent",
      checksum: "0123456789012345678901234567890123456789",
      skipSubmodules: true,
      mTime: "commit",
      fetchByCommit: true,
    }),
  "git-no-secrets": () => git("https://h/p", "", { authTokenSecret: "", authHeaderSecret: "" }),
  "git-token-only": () => git("https://h/p", "", { authTokenSecret: "T" }),
  "git-bundle": () =>
    git("https://h/p", "", {
      checksum: "abc",
      bundle: { locator: `oci-layout+blob://a/b@${sum}`, sessionId: "s", storeId: "st" },
      checkoutBundle: true,
      mTime: "checkout",
    }),
};

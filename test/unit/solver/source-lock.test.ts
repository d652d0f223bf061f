import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ResolveSourceMetaRequestSchema } from "../../../src/gen/moby/buildkit/v1/frontend/gateway_pb.js";
import {
  type Definition,
  git,
  http,
  image,
  local,
  marshal,
  merge,
  ociLayout,
  type State,
} from "../../../src/llb/index.js";
import { sourcesOf } from "../../../src/llb/rewrite-sources.js";
import {
  Client,
  emptySourceLock,
  formatSourceLock,
  type LockedSource,
  lockedDefinition,
  lockSources,
  mergeSourceLocks,
  parseSourceLock,
  pinDefinition,
  readSourceLock,
  type SourceLock,
  sourceLockPolicy,
  writeSourceLock,
} from "../../../src/solver/index.js";
import { pinInStatement } from "../../../src/solver/source-lock/provenance-pin.js";
import { nameOfSource } from "../../../src/solver/source-lock/source-name.js";
import { sourcePolicyToPb } from "../../../src/solver/supply-chain/source-policy.js";
import { FakeBuildKit, type FakeBuildKitOptions } from "../../../src/testing/index.js";

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
const commit = "c".repeat(40);
const alpine = "docker-image://docker.io/library/alpine:3.20";

const entries: readonly LockedSource[] = [
  { type: "image", source: alpine, platform: "linux/amd64", digest: digest("a") },
  { type: "image", source: alpine, platform: "linux/arm64", digest: digest("a") },
  { type: "git", source: "git://example.com/r.git", commit },
  { type: "git", source: "git://example.com/r.git#v1", commit, tag: "d".repeat(40) },
  { type: "http", source: "https://example.com/f", digest: digest("b") },
  {
    type: "http",
    source: "https://example.com/f",
    header: { accept: "text/plain" },
    digest: digest("e"),
    lastModified: "2024-01-02T03:04:05.000Z",
  },
];
const lock: SourceLock = { version: 1, sources: entries };

function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("a lock's text", () => {
  it("has a line for each entry, sorted, and reads back", () => {
    const text = formatSourceLock(lock);
    expect(text).toBe(`{
  "version": 1,
  "sources": [
    {"type":"image","source":"${alpine}","platform":"linux/amd64","digest":"${digest("a")}"},
    {"type":"image","source":"${alpine}","platform":"linux/arm64","digest":"${digest("a")}"},
    {"type":"git","source":"git://example.com/r.git","commit":"${commit}"},
    {"type":"git","source":"git://example.com/r.git#v1","commit":"${commit}","tag":"${"d".repeat(40)}"},
    {"type":"http","source":"https://example.com/f","digest":"${digest("b")}"},
    {"type":"http","source":"https://example.com/f","header":{"accept":"text/plain"},"digest":"${digest("e")}","lastModified":"2024-01-02T03:04:05.000Z"}
  ]
}
`);
    expect(parseSourceLock(text)).toEqual(lock);
    expect(formatSourceLock(parseSourceLock(formatSourceLock(emptySourceLock)))).toBe(
      '{\n  "version": 1,\n  "sources": []\n}\n',
    );
  });

  it("does not depend on the order of entries or keys", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...entries], { minLength: entries.length }), (shuffled) => {
        const turned = shuffled.map((entry) => Object.fromEntries(Object.entries(entry).reverse()));
        const other = { sources: turned, version: 1 } as unknown as SourceLock;
        expect(formatSourceLock(other)).toBe(formatSourceLock(lock));
        expect(parseSourceLock(JSON.stringify(other))).toEqual(lock);
      }),
    );
  });

  const line = (entry: object): string =>
    `{\n "version": 1,\n "sources": [\n  ${JSON.stringify(entry)}\n ]\n}`;
  const [first] = entries;
  const wrong: readonly (readonly [title: string, text: string, message: string])[] = [
    ["no JSON", '{\n  "version": 1,\n  x', "kiln.lock:3: no source lock: it is no JSON"],
    ["a text cut short", '{"version": 1,', "kiln.lock:1: no source lock: it is no JSON"],
    [
      "a merge conflict",
      '{\n  "version": 1,\n<<<<<<< ours\n  "sources": []\n=======\n',
      "kiln.lock:3: no source lock: it has the marks of a merge conflict",
    ],
    ["a list", "[]", "kiln.lock:1: no source lock: it is no object"],
    [
      "a newer version",
      '{"version": 2, "pins": {}}',
      "kiln.lock:1: no source lock: it has version 2, newer than 1",
    ],
    ["no version", '{"sources": []}', "kiln.lock:1: no source lock: its version is missing or is none"],
    [
      "another key",
      '{"version": 1, "sources": [], "more": 1}',
      'kiln.lock:1: no source lock: it has a key "more"',
    ],
    ["no sources", '{"version": 1}', "kiln.lock:1: no source lock: sources is no array"],
    [
      "a source twice",
      `{"version": 1, "sources": [\n${JSON.stringify(first)},\n${JSON.stringify({ ...first, digest: digest("f") })}]}`,
      `kiln.lock:3: no source lock: sources[1] is ${alpine} (linux/amd64) again, which sources[0] is`,
    ],
    [
      "a bad digest",
      line({ ...first, digest: "sha256:abc" }),
      `kiln.lock:4: no source lock: the digest of sources[0] (${alpine}) is no digest: sha256: and 64 hexadecimal digits`,
    ],
    [
      "no digest",
      line({ type: "http", source: "http://h/f" }),
      "kiln.lock:4: no source lock: the digest of sources[0] (http://h/f) is missing",
    ],
    [
      "a short commit",
      line({ type: "git", source: "git://h/r", commit: "abc" }),
      "kiln.lock:4: no source lock: the commit of sources[0] (git://h/r) is no id of a commit: 40 or 64 hexadecimal digits",
    ],
    [
      "another type",
      line({ ...first, type: "local" }),
      "kiln.lock:4: no source lock: the type of sources[0] is none of image, git and http",
    ],
    [
      "a source of another type",
      line({ ...first, source: "https://example.com" }),
      "kiln.lock:4: no source lock: the source of sources[0] is no identifier of an image source",
    ],
    [
      "a key of another type",
      line({ ...first, commit }),
      'kiln.lock:4: no source lock: sources[0] has a key "commit"',
    ],
    [
      "a bad platform",
      line({ ...first, platform: "linux" }),
      `kiln.lock:4: no source lock: the platform of sources[0] (${alpine}) is no platform`,
    ],
    [
      "a bad time",
      line({ ...entries[5], lastModified: "yesterday" }),
      "kiln.lock:4: no source lock: the lastModified of sources[0] (https://example.com/f) is no time",
    ],
    [
      "an empty header",
      line({ ...entries[5], header: {} }),
      "kiln.lock:4: no source lock: the header of sources[0] (https://example.com/f) holds no text",
    ],
  ];
  for (const [title, text, message] of wrong) {
    it(`is refused for ${title}`, () => {
      const error = thrown(() => parseSourceLock(text, "kiln.lock"));
      expect(error).toMatchObject({ code: "ERR_KILN_LOCK_INVALID", message, hint: expect.any(String) });
      const at = Number(/:(\d+):/.exec(message)?.[1]);
      expect(error).toMatchObject({ location: { file: "kiln.lock", line: at } });
    });
  }

  it("is not written for a lock that could not be read", () => {
    const bad = { version: 1, sources: [{ ...first, digest: "x" }] } as unknown as SourceLock;
    expect(thrown(() => formatSourceLock(bad))).toMatchObject({ code: "ERR_KILN_LOCK_INVALID" });
    expect(thrown(() => sourceLockPolicy(bad))).toMatchObject({ code: "ERR_KILN_LOCK_INVALID" });
    expect(thrown(() => pinDefinition(marshal(image("alpine")), bad))).toMatchObject({
      code: "ERR_KILN_LOCK_INVALID",
    });
  });

  it("is that of several locks, the last of which counts", () => {
    const later: SourceLock = {
      version: 1,
      sources: [{ type: "image", source: alpine, platform: "linux/amd64", digest: digest("f") }],
    };
    const merged = mergeSourceLocks(lock, later);
    expect(merged.sources).toHaveLength(entries.length);
    expect(merged.sources[0]).toEqual(later.sources[0]);
    expect(mergeSourceLocks(later, lock)).toEqual(lock);
  });
});

describe("a lock file", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "kiln-lock-"));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true });
  });

  it("is written in one step, and only for a change", async () => {
    const file = join(dir, "kiln.lock");
    await expect(readSourceLock(file)).rejects.toMatchObject({ code: "ERR_KILN_FILE_NOT_FOUND" });
    expect(await writeSourceLock(file, emptySourceLock)).toBe(true);
    const { ino } = statSync(file);
    expect(await writeSourceLock(file, emptySourceLock)).toBe(false);
    expect(statSync(file).ino).toBe(ino);
    expect(await writeSourceLock(file, lock)).toBe(true);
    expect(await readSourceLock(file)).toEqual(lock);
    expect(readdirSync(dir)).toEqual(["kiln.lock"]);
  });

  it("stays the link that it is", async () => {
    const file = join(dir, "kiln.lock");
    const real = join(dir, "real.lock");
    writeFileSync(real, "{}");
    symlinkSync("real.lock", file);
    await writeSourceLock(file, lock);
    expect(parseSourceLock(readFileSync(real, "utf8"))).toEqual(lock);
    expect(await readSourceLock(file)).toEqual(lock);
  });

  it("that is damaged or cannot be read or written is named", async () => {
    const file = join(dir, "kiln.lock");
    writeFileSync(file, "{}\n");
    await expect(readSourceLock(file)).rejects.toMatchObject({
      code: "ERR_KILN_LOCK_INVALID",
      message: `${file}:1: no source lock: its version is missing or is none`,
    });
    await expect(readSourceLock(dir)).rejects.toMatchObject({ code: "ERR_KILN_FILE_UNREADABLE" });
    await expect(writeSourceLock(join(dir, "none", "kiln.lock"), lock)).rejects.toMatchObject({
      code: "ERR_KILN_OUTPUT_UNWRITABLE",
    });
    expect(readdirSync(dir)).toEqual(["kiln.lock"]);
  });

  it("is whole at any moment while others write it", async () => {
    const file = join(dir, "kiln.lock");
    const large = Array.from({ length: 2_000 }, (_, index) => ({
      type: "http" as const,
      source: `https://example.com/${index}`,
      digest: digest("a"),
    }));
    const locks = [lock, mergeSourceLocks({ version: 1, sources: large })];
    await writeSourceLock(file, lock);
    let writing = true;
    const writers = Promise.all(
      Array.from({ length: 20 }, (_, index) => writeSourceLock(file, locks[index % 2] ?? lock)),
    ).finally(() => {
      writing = false;
    });
    const sizes = new Set<number>();
    while (writing) sizes.add((await readSourceLock(file)).sources.length);
    await writers;
    expect([...sizes].filter((size) => size !== 2_000 && size !== entries.length)).toEqual([]);
    expect(readdirSync(dir)).toEqual(["kiln.lock"]);
  });
});

/** The name of a state's source; `null` if no lock holds it. */
function nameOf(state: State, definition: Definition = marshal(state)): unknown {
  const [source] = sourcesOf(definition);
  if (source === undefined) throw new Error("the state is no source");
  return nameOfSource(source) ?? null;
}

describe("what a lock holds", () => {
  it("is every source that moves", () => {
    const windows = { os: "windows", architecture: "amd64", osVersion: "10.0.17763" };
    expect(nameOf(image("alpine:3.20"))).toEqual({
      type: "image",
      source: alpine,
      platform: "linux/amd64",
    });
    expect(nameOf(image("alpine:3.20", { platform: windows }))).toMatchObject({
      platform: "windows(10.0.17763)/amd64",
    });
    const repository = "git://example.com/o/r.git";
    expect(nameOf(git("https://example.com/o/r.git"))).toEqual({ type: "git", source: repository });
    expect(nameOf(git("https://example.com/o/r.git", ":sub"))).toEqual({ type: "git", source: repository });
    expect(nameOf(git("git@example.com:o/r.git", "main:sub"))).toEqual({
      type: "git",
      source: `${repository}#main`,
    });
    expect(nameOf(http("https://example.com/f", { header: { accept: "a", userAgent: "u" } }))).toEqual({
      type: "http",
      source: "https://example.com/f",
      header: { accept: "a", userAgent: "u" },
    });
  });

  it("has no user and no password", () => {
    const name = nameOf(http("https://user:s3cr@t@example.com/f?x=a@b"));
    expect(name).toEqual({ type: "http", source: "https://example.com/f?x=a@b" });
    const foreign = nameOfSource({
      identifier: "git://u:p@example.com/r#main",
      attrs: {},
      platform: undefined,
    });
    expect(foreign).toEqual({ type: "git", source: "git://example.com/r#main" });
  });

  it("is nothing that names its own content or is of this machine", () => {
    const own = [
      image(`alpine@${digest("a")}`),
      image(`alpine:3.20@${digest("a")}`),
      image("alpine", { checksum: digest("a") }),
      git("https://example.com/r.git", commit),
      git("https://example.com/r.git", "main", { checksum: commit }),
      http("https://example.com/f", { checksum: digest("a") }),
      http("http://buildkit-session/upload"),
      ociLayout(`store/x@${digest("a")}`, { sessionId: "s", storeId: "st" }),
      local("context", { sessionId: "s" }),
    ];
    expect(own.map((state) => nameOf(state))).toEqual(own.map(() => null));
  });
});

describe("a pinned definition", () => {
  it("has the bytes of one that was written with the pins", () => {
    const moving = merge([
      image("alpine:3.20", { resolveMode: "pull" }).run(["true"]).root(),
      image("alpine:3.20", { platform: { os: "linux", architecture: "arm64" }, resolveMode: "local" }),
      git("https://example.com/r.git", "v1:sub", { keepGitDir: true }),
      git("https://example.com/r.git"),
      http("https://example.com/f"),
      http("https://example.com/f", { header: { accept: "text/plain" } }),
      local("context", { sessionId: "s" }),
    ]);
    const pinned = merge([
      image(`alpine:3.20@${digest("a")}`)
        .run(["true"])
        .root(),
      image(`alpine:3.20@${digest("a")}`, {
        platform: { os: "linux", architecture: "arm64" },
        resolveMode: "local",
      }),
      git("https://example.com/r.git", `${commit}:sub`, { keepGitDir: true }),
      git("https://example.com/r.git", commit),
      http("https://example.com/f", { checksum: digest("b") }),
      http("https://example.com/f", { header: { accept: "text/plain" }, checksum: digest("e") }),
      local("context", { sessionId: "s" }),
    ]);
    const result = pinDefinition(marshal(moving), lock);
    const expected = marshal(pinned);
    expect(result.ops.map((op) => op.digest)).toEqual(expected.ops.map((op) => op.digest));
    expect(pinDefinition(result, emptySourceLock)).toBe(result);
  });

  it("keeps a ref whose signature is checked, and has its object checked", () => {
    const signed = git("https://example.com/r.git", "v1", { signature: { pubKey: "key" } });
    const [source] = sourcesOf(pinDefinition(marshal(signed), lock));
    expect(source?.identifier).toBe("git://example.com/r.git#v1");
    expect(source?.attrs["git.checksum"]).toBe("d".repeat(40));
  });

  it("is refused by name for what the lock does not hold, and for wrong arguments", () => {
    const state = merge([image("alpine:3.20"), image("debian"), http("https://example.com/other")]);
    expect(thrown(() => pinDefinition(marshal(state), lock))).toMatchObject({
      code: "ERR_KILN_SOURCE_UNLOCKED",
      message:
        "the lock does not hold 2 sources: docker-image://docker.io/library/debian:latest (linux/amd64), https://example.com/other",
    });
    expect(thrown(() => pinDefinition({} as Definition, lock))).toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
    });
    expect(thrown(() => pinDefinition(marshal(state), lock, { plattform: 1 } as object))).toMatchObject({
      code: "ERR_KILN_UNKNOWN_OPTION",
    });
  });
});

describe("the policy of a lock", () => {
  it("has a rule for each source, whatever its user or directory", () => {
    const { rules } = sourceLockPolicy(lock);
    // Both platforms of the image have one digest and so one rule each, the same.
    expect(rules).toHaveLength(5);
    expect(() => sourcePolicyToPb({ rules })).not.toThrow();
    const converted = (identifier: string): string | undefined => {
      for (const rule of rules) {
        if (rule.action !== "convert") continue;
        const { match, identifier: selected } = rule.selector;
        if (match === "exact" && selected === identifier) return rule.updates.identifier;
        if (match === "exact") continue;
        const pattern = new RegExp(selected);
        if (!pattern.test(identifier)) continue;
        return identifier.replace(pattern, rule.updates.identifier ?? identifier);
      }
      return undefined;
    };
    expect(converted(alpine)).toBe(`${alpine}@${digest("a")}`);
    expect(converted(`${alpine}.1`)).toBeUndefined();
    expect(converted("git://example.com/r.git")).toBe(`git://example.com/r.git#${commit}`);
    expect(converted("git://u@example.com/r.git#v1:a/b")).toBe(`git://u@example.com/r.git#${commit}:a/b`);
    expect(converted("git://example.com/r.git#v10")).toBeUndefined();
    expect(converted("git://example.com/rxgit#v1")).toBeUndefined();
    expect(converted("https://u:p@example.com/f")).toBe("https://u:p@example.com/f");
    const headers = rules.map((rule) => (rule.selector.constraints ?? []).map(({ value }) => value));
    expect(headers.slice(-2)).toEqual([
      ["", ""],
      ["text/plain", ""],
    ]);
  });

  it("is refused for platforms of an image with digests of their own", () => {
    const differing = entries.map((entry, index) =>
      index === 1 ? { ...entry, digest: digest("f") } : entry,
    );
    expect(
      thrown(() => sourceLockPolicy({ version: 1, sources: differing as LockedSource[] })),
    ).toMatchObject({ code: "ERR_KILN_INVALID_ARGUMENT", message: expect.stringContaining("linux/arm64") });
  });
});

describe("locking", () => {
  let fake: FakeBuildKit;
  let client: Client;
  let dir: string;
  async function start(options: FakeBuildKitOptions): Promise<void> {
    dir = mkdtempSync(join(tmpdir(), "kiln-lock-"));
    fake = await FakeBuildKit.start(options);
    client = await Client.connect(fake.address, { env: { DOCKER_CONFIG: dir } });
  }
  afterEach(async () => {
    await client.close();
    await fake.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Answers as BuildKit 0.26 and newer do. */
  const newer: FakeBuildKitOptions = {
    gateway: {
      resolveImageConfig: ({ Ref }) => ({
        Digest: Ref.includes("@") ? Ref.slice(Ref.indexOf("@") + 1) : digest("1"),
      }),
      resolveSourceMeta: ({ Source }) => {
        const identifier = Source?.identifier ?? "";
        if (identifier.endsWith("#v1")) {
          return { Source, Git: { Checksum: "d".repeat(40), Ref: "refs/tags/v1", CommitChecksum: commit } };
        }
        if (identifier.startsWith("git://"))
          return { Source, Git: { Checksum: commit, Ref: "refs/heads/main" } };
        return { Source, HTTP: { Checksum: digest("2"), LastModified: { seconds: 1_700_000_000n } } };
      },
    },
  };
  const moving = (): Definition =>
    marshal(
      merge([
        image("alpine:3.20"),
        git("https://example.com/r.git", "main"),
        git("https://example.com/r.git", "v1"),
        http("https://example.com/f"),
      ]),
    );

  it("asks a newer daemon about sources without fetching them", async () => {
    await start(newer);
    const locked = await lockSources(client, [moving(), moving()]);
    expect(locked.sources).toEqual([
      { type: "image", source: alpine, platform: "linux/amd64", digest: digest("1") },
      { type: "git", source: "git://example.com/r.git#main", commit },
      { type: "git", source: "git://example.com/r.git#v1", commit, tag: "d".repeat(40) },
      {
        type: "http",
        source: "https://example.com/f",
        digest: digest("2"),
        lastModified: "2023-11-14T22:13:20.000Z",
      },
    ]);
    // All in one build that leaves no trace in the daemon's history.
    expect(fake.solves()).toEqual([]);
    const asked = fake.requestsOf("LLBBridge/ResolveSourceMeta", ResolveSourceMetaRequestSchema);
    expect(asked).toHaveLength(3);
    expect(asked[0]?.Source?.attrs["git.fullurl"]).toBe("https://example.com/r.git");
    expect(parseSourceLock(formatSourceLock(locked))).toEqual(locked);
  });

  it("resolves what pull says", async () => {
    await start(newer);
    const definition = moving();
    await expect(lockSources(client, definition, { pull: "locked" })).rejects.toMatchObject({
      code: "ERR_KILN_SOURCE_UNLOCKED",
      message: expect.stringMatching(/^the lock does not hold 4 sources: docker-image.*https:\/\/example/),
    });
    expect(fake.requests).toEqual([]);
    const unused: LockedSource = { type: "http", source: "https://example.com/unused", digest: digest("9") };
    const held: SourceLock = {
      version: 1,
      sources: [unused, { type: "http", source: "https://example.com/f", digest: digest("3") }],
    };
    const missing = await lockSources(client, definition, { lock: held });
    expect(missing.sources).toHaveLength(5);
    expect(missing.sources).toContainEqual(held.sources[1]);
    const asked = fake.requests.length;
    expect(await lockSources(client, definition, { lock: missing, pull: "locked" })).toEqual(missing);
    expect(await lockSources(client, definition, { lock: missing })).toEqual(missing);
    expect(fake.requests).toHaveLength(asked);
    const always = await lockSources(client, definition, { lock: missing, pull: "always", unused: "drop" });
    expect(always.sources).toHaveLength(4);
    expect(always.sources[3]).toMatchObject({ digest: digest("2") });
  });

  it("takes another platform's digest from the lock if the image has that platform there", async () => {
    await start(newer);
    const definition = marshal(image("alpine:3.20", { platform: { os: "linux", architecture: "arm64" } }));
    const held: SourceLock = { version: 1, sources: [entries[0] as LockedSource] };
    const locked = await lockSources(client, definition, { lock: held });
    expect(locked.sources[1]).toEqual(entries[1]);
    const anew = await lockSources(client, definition, { lock: held, pull: "always" });
    expect(anew.sources[1]).toMatchObject({ platform: "linux/arm64", digest: digest("1") });
  });

  it("names the source that cannot be resolved", async () => {
    await start({
      gateway: {
        resolveImageConfig: () => {
          throw new Error("docker.io/library/alpine:3.20: not found");
        },
      },
    });
    await expect(lockSources(client, marshal(image("alpine:3.20")))).rejects.toMatchObject({
      code: "ERR_KILN_IMAGE_NOT_FOUND",
      message: `cannot lock ${alpine} (linux/amd64): docker.io/library/alpine:3.20: not found`,
    });
  });

  it("keeps a lock file, with what others added meanwhile", async () => {
    const others: LockedSource[] = [
      { type: "http", source: "https://example.com/others", digest: digest("7") },
      { type: "http", source: "https://example.com/f", digest: digest("8") },
    ];
    let file = "";
    const { gateway } = newer;
    await start({
      gateway: {
        ...gateway,
        resolveImageConfig: async () => {
          await writeSourceLock(file, { version: 1, sources: others });
          return { Digest: digest("1") };
        },
      },
    });
    file = join(dir, "kiln.lock");
    const first = await lockedDefinition(client, moving(), { lock: file });
    expect(first.changed).toBe(true);
    expect(first.lock.sources).toHaveLength(5);
    expect(await readSourceLock(file)).toEqual(first.lock);
    const pinnedFile = sourcesOf(first.definition).find(({ identifier }) => identifier.startsWith("https"));
    expect(pinnedFile?.attrs["http.checksum"]).toBe(digest("8"));
    const asked = fake.requests.length;
    const again = await lockedDefinition(client, moving(), { lock: file, pull: "locked" });
    expect(again).toMatchObject({ changed: false, lock: first.lock });
    expect(Buffer.from(again.definition.toBinary())).toEqual(Buffer.from(first.definition.toBinary()));
    expect(fake.requests).toHaveLength(asked);
    const none = join(dir, "none.lock");
    await expect(lockedDefinition(client, moving(), { lock: none, pull: "locked" })).rejects.toMatchObject({
      code: "ERR_KILN_SOURCE_UNLOCKED",
      message: expect.stringMatching(/none\.lock does not hold 4 sources/),
    });
    expect(readdirSync(dir)).toEqual(["kiln.lock"]);
  });

  it("refuses wrong options and ends with the signal", async () => {
    await start(newer);
    const definition = moving();
    const refused = [
      { pull: "never" },
      { unused: "remove" },
      { locks: 1 },
      { lock: { version: 3, sources: [] } },
    ] as unknown as Parameters<typeof lockSources>[2][];
    const codes = await Promise.all(
      refused.map((options) =>
        lockSources(client, definition, options).catch((error: { code: string }) => error.code),
      ),
    );
    expect(codes).toEqual([
      "ERR_KILN_INVALID_ARGUMENT",
      "ERR_KILN_INVALID_ARGUMENT",
      "ERR_KILN_UNKNOWN_OPTION",
      "ERR_KILN_LOCK_INVALID",
    ]);
    const reason = new Error("enough");
    const options = { signal: AbortSignal.abort(reason) };
    await expect(lockSources(client, definition, options)).rejects.toBe(reason);
    await expect(lockSources(client, [{} as Definition])).rejects.toMatchObject({
      code: "ERR_KILN_INVALID_ARGUMENT",
    });
  });
});

describe("a pin in provenance", () => {
  const v02 = (digests: object, ...more: object[]): object => ({
    predicate: { materials: [{ uri: "x", digest: digests }, ...more] },
  });
  const v1 = (digests: object): object => ({
    predicate: { buildDefinition: { resolvedDependencies: [{ uri: "x", digest: digests }] } },
  });

  it("is read from both versions", () => {
    expect(pinInStatement("git", v02({ sha1: commit }))).toBe(commit);
    expect(pinInStatement("git", v1({ sha1: commit }))).toBe(commit);
    expect(pinInStatement("git", v1({ sha256: "e".repeat(64) }))).toBe("e".repeat(64));
    expect(pinInStatement("http", v02({ sha256: "a".repeat(64) }))).toBe(digest("a"));
    expect(pinInStatement("http", v1({ sha256: "a".repeat(64) }))).toBe(digest("a"));
  });

  it("is refused where it is missing, not one, or no digest", () => {
    const statements = [
      null,
      {},
      { predicate: { materials: {} } },
      v02({ sha1: "short" }),
      v02({}),
      v02({ sha1: commit }, { digest: { sha1: commit } }),
    ];
    for (const statement of statements) {
      expect(thrown(() => pinInStatement("git", statement))).toMatchObject({ code: "ERR_KILN_PROTOCOL" });
    }
    expect(thrown(() => pinInStatement("http", v02({ sha1: commit })))).toMatchObject({
      code: "ERR_KILN_PROTOCOL",
    });
  });
});

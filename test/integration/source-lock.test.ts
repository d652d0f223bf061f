import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { lockOfBases, resolveBases } from "../../src/engine/bases/resolve-bases.js";
import { Engine, Image } from "../../src/index.js";
import {
  copy,
  type Definition,
  git,
  http,
  image,
  marshal,
  mkfile,
  type State,
  scratch,
} from "../../src/llb/index.js";
import type { RegistryBaseNeed } from "../../src/model/needs.js";
import { sha256 } from "../../src/oci/digest.js";
import { openSession } from "../../src/session/session.js";
import {
  Client,
  type ClientSolveOptions,
  emptySourceLock,
  localDir,
  lockedDefinition,
  lockSources,
  multiPlatform,
  type PullMode,
  pinDefinition,
  readSourceLock,
  registry as registryOutput,
  sourceLockPolicy,
} from "../../src/solver/index.js";
import { describeEachEngine, registry } from "./support/engines.js";
import {
  fileServer,
  gitServer,
  newRepositories,
  noGit,
  Repository,
  registryFront,
  type SourceServer,
} from "./support/moving-sources.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-source-lock-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const arm64 = { os: "linux", architecture: "arm64" };
const amd64 = { os: "linux", architecture: "amd64" };
const fresh = (): string => randomBytes(6).toString("hex");

/** The graph that has one file of a source, as `/out`. */
function fileOf(source: State, path: string): Definition {
  return marshal(scratch().file(copy(source, { src: path, dest: "/out" })));
}

describeEachEngine("the source lock", ({ name, address }) => {
  let client: Client;
  let lockFile: string;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());
  beforeEach(() => {
    lockFile = join(mkdtempSync(join(dir, "lock-")), "kiln.lock");
  });

  /** What `/out` is. */
  async function built(definition: Definition, options: ClientSolveOptions = {}): Promise<string> {
    const out = mkdtempSync(join(dir, "out-"));
    await client.solve(definition, { ...options, outputs: [localDir(out)] }).result;
    return readFileSync(join(out, "out"), "utf8");
  }

  /** What `/out` is with a lock. */
  async function builtLocked(definition: Definition, pull?: PullMode): Promise<string> {
    const pinned = await lockedDefinition(client, definition, { lock: lockFile, pull });
    return built(pinned.definition);
  }

  async function push(repository: string, text: string): Promise<void> {
    await client.solve(marshal(scratch().file(mkfile("/file", text))), {
      outputs: [registryOutput(`${registry()}/${repository}`)],
    }).result;
  }

  it("keeps an image where its tag was, and follows it on request", async () => {
    const front = await registryFront(registry());
    try {
      const repository = `lock/moving-${name}-${fresh()}:1`;
      const definition = fileOf(image(`${front.host}/${repository}`), "/file");
      await push(repository, "one");
      expect(await builtLocked(definition)).toBe("one");
      const text = readFileSync(lockFile, "utf8");
      const { ino } = statSync(lockFile);
      await push(repository, "two");
      expect(await builtLocked(definition)).toBe("one");
      expect(await builtLocked(definition, "locked")).toBe("one");
      expect(readFileSync(lockFile, "utf8")).toBe(text);
      expect(statSync(lockFile).ino).toBe(ino);
      expect(await builtLocked(definition, "always")).toBe("two");
      const { sources } = await readSourceLock(lockFile);
      expect(sources).toMatchObject([
        { type: "image", source: `docker-image://${front.host}/${repository}`, platform: "linux/amd64" },
      ]);
      await front.close();
      expect(await builtLocked(definition, "locked")).toBe("two");
    } finally {
      await front.close();
    }
  });

  it("is an option of a solve and of a chain's build, which share a file", async () => {
    const front = await registryFront(registry());
    const engine = await Engine.connect({ host: address });
    try {
      const repository = `lock/option-${name}-${fresh()}:1`;
      const ref = `${front.host}/${repository}`;
      const definition = fileOf(image(ref), "/file");
      const chain = async (pull?: PullMode): Promise<string> => {
        const out = mkdtempSync(join(dir, "out-"));
        const outputs = [localDir(out)];
        await engine.build(Image.fromRegistry(ref), { outputs, sourceLock: lockFile, pull }).result;
        return readFileSync(join(out, "file"), "utf8");
      };
      await expect(chain("locked")).rejects.toMatchObject({
        code: "ERR_KILN_SOURCE_UNLOCKED",
        location: { file: expect.stringContaining("source-lock.test.ts") },
      });
      await push(repository, "one");
      expect(await chain()).toBe("one");
      await push(repository, "two");
      expect(await chain()).toBe("one");
      expect(await built(definition, { sourceLock: lockFile, pull: "locked" })).toBe("one");
      expect(await built(definition, { sourceLock: await readSourceLock(lockFile) })).toBe("one");
      expect(await chain("always")).toBe("two");
      expect(await built(definition, { sourceLock: lockFile })).toBe("two");
      expect(() => client.build(() => Promise.resolve(undefined), { sourceLock: lockFile })).toThrow(
        /sourceLock is for definitions/,
      );
      expect(() => client.solve(definition, { pull: "locked" })).toThrow(/sourceLock/);
    } finally {
      await engine.close();
      await front.close();
    }
  });

  it("keeps a repository where its branch was, and follows it on request", async (ctx) => {
    const lack = noGit();
    if (lack !== undefined) ctx.skip(lack);
    const served = newRepositories();
    const server = await gitServer(served);
    try {
      const repository = new Repository(served, "r.git");
      const first = repository.commit("sub/file", "one");
      repository.git("tag", "-a", "v1", "-m", "v1");
      const remote = `git://${server.host}/r.git`;
      const definition = fileOf(git(remote, "main:sub"), "/file");
      const others = ["v1", "refs/tags/v1", ""].map((ref) => fileOf(git(remote, ref), "/sub/file"));
      const all = await lockSources(client, [definition, ...others]);
      expect(all.sources).toEqual(
        ["", "#main", "#refs/tags/v1", "#v1"].map((ref) => ({
          type: "git",
          source: `git://${server.host}/r.git${ref}`,
          commit: first,
        })),
      );
      expect(await builtLocked(definition)).toBe("one");
      const second = repository.commit("sub/file", "two");
      expect(await builtLocked(definition)).toBe("one");
      expect(await builtLocked(definition, "always")).toBe("two");
      expect((await readSourceLock(lockFile)).sources).toMatchObject([{ commit: second }]);
    } finally {
      await server.close();
      rmSync(served, { recursive: true, force: true });
    }
  });

  it("builds from the daemon's copy of a file that has changed, and refuses another one by its checksum", async () => {
    // A daemon knows addresses of earlier runs, and ports come again.
    const path = `/${fresh()}`;
    const text = `one ${path}`;
    const files = new Map([[path, text]]);
    const server = await fileServer(files);
    try {
      const url = `http://${server.host}${path}`;
      const definition = fileOf(http(url), path);
      expect(await builtLocked(definition)).toBe(text);
      expect((await readSourceLock(lockFile)).sources).toEqual([
        { type: "http", source: url, digest: sha256(text) },
      ]);
      expect(server.requests).toEqual([`GET ${path}`]);
      files.set(path, "two");
      expect(await builtLocked(definition)).toBe(text);
      expect(await builtLocked(definition, "always")).toBe("two");
      const never = {
        type: "http",
        source: `http://${server.host}${path}-never`,
        digest: sha256("was"),
      } as const;
      files.set(`${path}-never`, "is");
      const unseen = fileOf(http(never.source), `${path}-never`);
      const pinned = pinDefinition(unseen, { version: 1, sources: [never] });
      await expect(built(pinned)).rejects.toMatchObject({
        code: "ERR_KILN_DIGEST_MISMATCH",
        message: expect.stringContaining(sha256("is").slice(7)),
      });
    } finally {
      await server.close();
    }
  });

  it("builds with everything out of reach", async (ctx) => {
    const lack = noGit();
    if (lack !== undefined) ctx.skip(lack);
    const served = newRepositories();
    const files = new Map([["/file", `file ${name} ${fresh()}`]]);
    const servers: SourceServer[] = [];
    try {
      const front = await registryFront(registry());
      const repositories = await gitServer(served);
      const downloads = await fileServer(files);
      servers.push(front, repositories, downloads);
      new Repository(served, "r.git").commit("tracked", "from git");
      const graph = (nonce: string, more?: State): Definition => {
        const step = image(`${front.host}/library/busybox:1.36`).run(
          ["/bin/sh", "-c", `cat /git/tracked /http/file > /out; : ${nonce}`],
          {
            mounts: [
              { target: "/git", source: git(`git://${repositories.host}/r.git`, "main"), readonly: true },
              { target: "/http", source: http(`http://${downloads.host}/file`), readonly: true },
              ...(more === undefined ? [] : [{ target: "/more", source: more, readonly: true }]),
            ],
          },
        );
        return marshal(scratch().file(copy(step.root(), { src: "/out", dest: "/out" })));
      };
      const wanted = `from git${files.get("/file")}`;
      expect(await builtLocked(graph(fresh()))).toBe(wanted);
      const text = readFileSync(lockFile, "utf8");
      await Promise.all(servers.map((server) => server.close()));
      // A step that never ran: the sources themselves are needed.
      expect(await builtLocked(graph(fresh()), "locked")).toBe(wanted);
      expect(await builtLocked(graph(fresh()))).toBe(wanted);
      expect(readFileSync(lockFile, "utf8")).toBe(text);
      const more = http(`http://${downloads.host}/more`);
      await expect(builtLocked(graph("", more), "locked")).rejects.toMatchObject({
        code: "ERR_KILN_SOURCE_UNLOCKED",
        message: `${lockFile} does not hold http://${downloads.host}/more`,
      });
      await expect(builtLocked(graph("", more))).rejects.toMatchObject({
        name: "SolveError",
        message: expect.stringContaining(`cannot lock http://${downloads.host}/more: `),
      });
      expect(readFileSync(lockFile, "utf8")).toBe(text);
    } finally {
      await Promise.all(servers.map((server) => server.close()));
      rmSync(served, { recursive: true, force: true });
    }
  });

  it("locks the platforms of an image to one index, though the tag moves in between", async () => {
    const repository = `lock/platforms-${name}-${fresh()}:1`;
    const pushIndex = (text: string): Promise<unknown> =>
      client.build(
        async (gateway) =>
          multiPlatform(
            await Promise.all(
              [amd64, arm64].map(async (platform) => {
                const state = scratch().file(mkfile("/file", `${text} ${platform.architecture}`));
                return { platform, ref: (await gateway.solve({ definition: marshal(state) })).ref };
              }),
            ),
          ),
        { outputs: [registryOutput(`${registry()}/${repository}`)] },
      ).result;
    const on = (platform: typeof amd64): Definition =>
      fileOf(image(`${registry()}/${repository}`, { platform }), "/file");
    await pushIndex("one");
    expect(await builtLocked(on(amd64))).toBe("one amd64");
    await pushIndex("two");
    expect(await builtLocked(on(arm64))).toBe("one arm64");
    const { sources } = await readSourceLock(lockFile);
    expect(sources).toMatchObject([{ platform: "linux/amd64" }, { platform: "linux/arm64" }]);
    const digests = new Set(sources.map((entry) => (entry.type === "image" ? entry.digest : "")));
    expect(digests.size).toBe(1);
    expect(await builtLocked(on(arm64), "always")).toBe("two arm64");
    expect(await builtLocked(on(amd64))).toBe("one amd64");
  });

  it("gives pinned ops the digests that the daemon has for them, and its policy the same content", async () => {
    const repository = `lock/policy-${name}-${fresh()}:1`;
    const files = new Map([["/file", "one"]]);
    const server = await fileServer(files);
    try {
      await push(repository, "one");
      const base = image(`${registry()}/${repository}`);
      const state = scratch()
        .file(copy(base, { src: "/file", dest: "/out" }))
        .file(copy(http(`http://${server.host}/file`), { src: "/file", dest: "/file" }));
      const definition = marshal(state);
      const lock = await lockSources(client, definition);
      await push(repository, "two");
      files.set("/file", "two");
      const pinned = pinDefinition(definition, lock);
      const solve = client.solve(pinned);
      const seen = new Set<string>();
      for await (const event of solve) if ("vertex" in event) seen.add(event.vertex);
      await solve.result;
      const ours = pinned.vertices().map(({ digest }) => digest);
      expect(ours.filter((digest) => !seen.has(digest))).toEqual([]);

      const sourcePolicy = sourceLockPolicy(lock);
      expect(await built(definition)).toBe("two");
      expect(await built(definition, { sourcePolicy })).toBe("one");
      const denied = { action: "deny", selector: { identifier: "docker-image://*@sha256:*" } } as const;
      await expect(
        built(definition, { sourcePolicy: { rules: [...sourcePolicy.rules, denied] } }),
      ).rejects.toThrow(/denied|not allowed by policy/i);
      // Files are pinned by their checksum: another content than the locked one is refused.
      const wrong = lock.sources.map((entry) =>
        entry.type === "http" ? { ...entry, digest: sha256("another") } : entry,
      );
      await expect(
        built(definition, { sourcePolicy: sourceLockPolicy({ ...lock, sources: wrong }) }),
      ).rejects.toMatchObject({ code: "ERR_KILN_DIGEST_MISMATCH" });
    } finally {
      await server.close();
    }
  });

  it("has the daemon take a locked commit by policy, whatever the directory", async (ctx) => {
    const lack = noGit();
    if (lack !== undefined) ctx.skip(lack);
    const served = newRepositories();
    const server = await gitServer(served);
    try {
      const repository = new Repository(served, "r.git");
      repository.commit("sub/file", "one");
      const remote = `git://${server.host}/r.git`;
      const definitions = [
        fileOf(git(remote, "main:sub"), "/file"),
        fileOf(git(remote, "main"), "/sub/file"),
        fileOf(git(remote), "/sub/file"),
        fileOf(git(remote, ":sub"), "/file"),
      ];
      const sourcePolicy = sourceLockPolicy(await lockSources(client, definitions));
      repository.commit("sub/file", "two");
      for (const definition of definitions) {
        expect(await built(definition, { sourcePolicy })).toBe("one");
        expect(await built(definition)).toBe("two");
      }
    } finally {
      await server.close();
      rmSync(served, { recursive: true, force: true });
    }
  });

  it("resolves the locked bases of chains, config and all, without their registry", async () => {
    const front = await registryFront(registry());
    const session = openSession(client.connection, { services: [] });
    try {
      const repository = `lock/base-${name}-${fresh()}:1`;
      await push(repository, "one");
      const need: RegistryBaseNeed = {
        ...{ kind: "registry", id: "base", location: { file: "image.ts", line: 1, column: 1 } },
        ref: `${front.host}/${repository}`,
      };
      const needs = {
        ...{ bases: [need], trees: [], files: [], listings: [] },
        ...{ secrets: [], devices: [], caBundles: [], usesDockerfile: false },
      };
      const inputs = {
        treeFacts: new Map(),
        trees: new Map(),
        sources: new Map(),
        layouts: new Map(),
        mirrorLayouts: [],
      };
      const where = { connection: client.connection, session, platform: amd64 };
      const options = { ...where, inputs, mirrors: {}, policy: {}, signal: undefined };
      await expect(resolveBases(needs, { ...options, pull: "locked" })).rejects.toMatchObject({
        code: "ERR_KILN_SOURCE_UNLOCKED",
        location: need.location,
      });
      const first = await resolveBases(needs, options);
      const lock = lockOfBases(needs, first, { platform: amd64 });
      // The daemon has what it built with.
      await built(pinDefinition(fileOf(image(need.ref), "/file"), lock));
      await push(repository, "two");
      expect(await resolveBases(needs, { ...options, lock })).toEqual(first);
      const moved = await resolveBases(needs, { ...options, lock, pull: "always" });
      expect(moved.get("base")?.digest).not.toBe(first.get("base")?.digest);
      await front.close();
      const offline = await resolveBases(needs, { ...options, lock, pull: "locked" });
      expect(offline).toEqual(first);
      expect(offline.get("base")?.config).toMatchObject({ os: "linux" });
      expect(lockOfBases(needs, offline, { platform: amd64, lock })).toEqual(lock);
      await expect(resolveBases(needs, options)).rejects.toMatchObject({
        message: expect.stringContaining(`cannot resolve the base ${need.ref}`),
      });
    } finally {
      await session.close();
      await front.close();
    }
  });

  it("asks nobody where the lock holds everything", async () => {
    const gone = await Client.connect("unix:///nonexistent/buildkitd.sock");
    const definition = marshal(scratch().file(mkfile("/out", "made here")));
    expect(await lockSources(gone, definition, { pull: "always" })).toEqual(emptySourceLock);
    await gone.close();
  });
});

import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  copy,
  diff,
  http,
  type LocalOptions,
  local,
  marshal,
  merge,
  mkdir,
  mkfile,
  image as registryImage,
  rm,
  type State,
  scratch,
  symlink,
} from "../../src/llb/index.js";
import { Client, localDir, openLocalTree } from "../../src/solver/index.js";
import { describeOneEngine, registry } from "./support/engines.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-files-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const busybox = (): State => registryImage(`${registry()}/library/busybox:1.36`);
const shell = (script: string): string[] => ["/bin/sh", "-c", script];

// Named after the tests of BuildKit's own client that they re-create.
describeOneEngine("older", "files and sources, as BuildKit's own client tests them", ({ name, address }) => {
  let client: Client;
  beforeAll(async () => {
    client = await Client.connect(address);
  });
  afterAll(() => client.close());

  const id = `${name}-${Date.now()}`;

  async function exported(state: State, trees: Readonly<Record<string, string>> = {}): Promise<string> {
    const target = mkdtempSync(join(dir, "out-"));
    const opened = await Promise.all(
      Object.entries(trees).map(async ([key, path]) => [key, await openLocalTree(path)] as const),
    );
    await client.solve(marshal(state, { localUniqueId: `${id}-${Math.random()}` }), {
      outputs: [localDir(target)],
      trees: new Map(opened),
      sharedKey: id,
    }).result;
    return target;
  }
  const list = (path: string): string[] => readdirSync(path, { recursive: true }).map(String).sort();
  const read = (...path: string[]): string => readFileSync(join(...path), "utf8");

  function tree(files: Readonly<Record<string, string>>): string {
    const root = mkdtempSync(join(dir, "tree-"));
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(join(root, path, ".."), { recursive: true });
      writeFileSync(join(root, path), content);
    }
    return root;
  }

  it("FileOpMkdirMkfile: chains actions, makes parents, sets modes", async () => {
    const out = await exported(
      scratch()
        .file(
          mkdir("/foo", { mode: 0o700 })
            .mkfile("bar", "contents")
            .mkdir("/a/b/c", { mode: 0o751, makeParents: true }),
        )
        .file(mkfile("/foo/x", "x", { mode: 0o604 })),
    );
    expect(statSync(join(out, "foo")).mode & 0o777).toBe(0o700);
    expect(read(out, "bar")).toBe("contents");
    expect(statSync(join(out, "a/b/c")).mode & 0o777).toBe(0o751);
    expect(statSync(join(out, "foo/x")).mode & 0o777).toBe(0o604);
    await expect(exported(scratch().file(mkdir("/no/parent")))).rejects.toThrow(/no such file/);
  });

  it("FileOpCopyRm: copies from two trees, removes what is not wanted", async () => {
    const first = tree({ myfile: "data0", "sub/file2": "data1", "file 3": "data2" });
    const second = tree({ file2: "other" });
    const out = await exported(
      scratch()
        .file(
          copy(local("a"), { src: "myfile", dest: "myfile2" }).copy(local("b"), { src: "file2", dest: "/" }),
        )
        .file(
          copy(local("a"), { src: "sub", dest: "/sub2/", createDestPath: true }).rm("/sub2/sub/nothing", {
            allowNotFound: true,
          }),
        )
        .file(copy(local("a"), { src: "/*ile*", dest: "/wild/", createDestPath: true, allowWildcard: true }))
        .file(rm("/wild/file 3")),
      { a: first, b: second },
    );
    expect(list(out)).toEqual(
      ["file2", "myfile2", "sub2", "sub2/sub", "sub2/sub/file2", "wild", "wild/myfile"].sort(),
    );
    expect(read(out, "file2")).toBe("other");
    await expect(exported(scratch().file(rm("/nothing")))).rejects.toThrow(/no such file/);
  });

  it("FileOpCopyIncludeExclude: copies what is included, and only that decides about the cache", async () => {
    const build = (files: Readonly<Record<string, string>>, ran: string) =>
      exported(
        busybox()
          .run(shell(`ls -R /c > /listing; head -c 16 /dev/urandom | od -An -tx1 > /when # ${ran}`), {
            mounts: [
              {
                target: "/c",
                source: scratch().file(
                  copy(local("t"), {
                    src: "/",
                    dest: "/",
                    copyDirContentsOnly: true,
                    includePatterns: ["sub/*", "!sub/no"],
                    excludePatterns: ["sub/*.txt"],
                  }),
                ),
              },
            ],
          })
          .root(),
        { t: tree(files) },
      );
    const first = await build({ "sub/a": "a", "sub/b.txt": "b", other: "o" }, id);
    expect(read(first, "listing")).toContain("sub");
    expect(read(first, "listing")).not.toMatch(/b\.txt|other/);
    const same = await build({ "sub/a": "a", "sub/b.txt": "changed", other: "changed" }, id);
    expect(read(same, "when")).toBe(read(first, "when"));
    const changed = await build({ "sub/a": "changed" }, id);
    expect(read(changed, "when")).not.toBe(read(first, "when"));
  });

  it("FileOpSymlink: makes links, also to nowhere, with owner and time", async ({ skip }) => {
    const state = scratch()
      .file(mkfile("/bar", "contents"))
      .file(
        symlink("bar", "/baz", { owner: { user: 1, group: 2 }, createdTime: new Date(1_700_000_000_000) }),
      )
      .file(symlink("/nowhere", "/dangling"));
    if (!(await client.facts()).llbCaps.has("file.symlink.create")) {
      const refusal = await exported(state).catch((error: Error & { code: string }) => error);
      expect(refusal).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      skip(`${name}: ${(refusal as Error).message}`);
    }
    const out = await exported(state);
    expect(readlinkSync(join(out, "baz"))).toBe("bar");
    expect(readlinkSync(join(out, "dangling"))).toBe("/nowhere");
    expect(lstatSync(join(out, "baz")).mtimeMs).toBe(1_700_000_000_000);
  });

  it("FileOpInputSwap: the same action on another input is another result", async () => {
    const base = scratch().file(mkfile("/foo", "foo"));
    const one = scratch().file(copy(base, { src: "/foo", dest: "/bar" }));
    const other = scratch().file(
      copy(scratch().file(mkfile("/foo", "other")), { src: "/foo", dest: "/bar" }),
    );
    expect(read(await exported(one), "bar")).toBe("foo");
    expect(read(await exported(other), "bar")).toBe("other");
  });

  it("MergeOp: later layers win, deletions delete, merges nest", async () => {
    const a = scratch().file(mkfile("/same", "A").mkfile("/a", "a").mkdir("/d", { mode: 0o755 }));
    const b = scratch().file(mkfile("/same", "B").mkfile("/d2", "x"));
    const out = await exported(merge([a, b]));
    expect(read(out, "same")).toBe("B");
    expect(list(out)).toEqual(["a", "d", "d2", "same"]);
    expect(read(await exported(merge([b, a])), "same")).toBe("A");
    const removed = merge([a, b]).file(rm("/a"));
    const nested = merge([a, diff(merge([a, b]), removed), scratch().file(mkfile("/late", "late"))]);
    expect(list(await exported(nested))).toEqual(["d", "late", "same"]);
    const ran = merge([busybox(), b]).run(shell("cat /same > /seen"));
    expect(read(await exported(diff(busybox(), ran.root())), "seen")).toBe("B");
  });

  it("Diff: gives what was added, changed and deleted, and nothing else", async () => {
    const base = scratch()
      .file(mkdir("/d/e", { makeParents: true, mode: 0o755 }))
      .file(mkfile("/d/e/keep", "keep").mkfile("/d/e/gone", "gone").mkfile("/top", "1"));
    for (const [title, change, expected] of [
      ["added", (state: State) => state.file(mkfile("/d/new", "new")), ["d", "d/new"]],
      ["changed", (state: State) => state.file(mkfile("/top", "2")), ["top"]],
      ["nothing", (state: State) => state, []],
      ["a directory", (state: State) => state.file(mkdir("/x/y", { makeParents: true })), ["x", "x/y"]],
    ] as const) {
      expect(list(await exported(diff(base, change(base)))), title).toEqual(expected);
    }
    const deleted = diff(base, base.file(rm("/d/e/gone")));
    expect(list(await exported(merge([base, deleted])))).toEqual(["d", "d/e", "d/e/keep", "top"]);
    const gone = diff(base, base.file(rm("/d")));
    expect(list(await exported(merge([base, gone])))).toEqual(["top"]);
    expect(list(await exported(diff(scratch(), base)))).toEqual(list(await exported(base)));
    expect(list(await exported(merge([base, diff(base, scratch().file(mkfile("/only", "o")))])))).toEqual([
      "only",
    ]);
  });

  it("LocalSourceDiffer: an edit that keeps size and time is seen without a differ alone", async () => {
    for (const [differ, second] of [
      ["metadata", "aaa"],
      ["none", "bbb"],
    ] as const) {
      const root = tree({ f: "aaa" });
      const time = new Date(1_600_000_000_000);
      utimesSync(join(root, "f"), time, time);
      const options: LocalOptions = { differ: { type: differ }, sharedKeyHint: `differ-${differ}-${id}` };
      const state = (): State =>
        scratch().file(copy(local(`differ-${differ}`, options), { src: "f", dest: "f" }));
      expect(read(await exported(state(), { [`differ-${differ}`]: root }), "f")).toBe("aaa");
      writeFileSync(join(root, "f"), "bbb");
      utimesSync(join(root, "f"), time, time);
      expect(read(await exported(state(), { [`differ-${differ}`]: root }), "f"), differ).toBe(second);
    }
  });

  it("LocalSourceWithHardlinksFilter: two links that are followed stay one file without the first", async () => {
    const root = tree({ original: "one", other: "x" });
    linkSync(join(root, "original"), join(root, "link1"));
    linkSync(join(root, "original"), join(root, "link2"));
    const out = await exported(
      scratch().file(
        copy(local("links", { followPaths: ["link1", "link2"], sharedKeyHint: id }), {
          src: "/",
          dest: "/",
          copyDirContentsOnly: true,
        }),
      ),
      { links: root },
    );
    expect(list(out)).toEqual(["link1", "link2"]);
    expect(statSync(join(out, "link1")).ino).toBe(statSync(join(out, "link2")).ino);
  });

  it("LocalSymlinkEscape: links that lead out are kept, what they lead to is not", async () => {
    const root = tree({ "sub/in": "in" });
    symlinkSync("/etc/passwd", join(root, "absolute"));
    symlinkSync("../../../../etc/passwd", join(root, "escaping"));
    symlinkSync("sub/in", join(root, "inside"));
    const out = await exported(
      scratch().file(
        copy(local("escape", { followPaths: ["absolute", "escaping", "inside"], sharedKeyHint: id }), {
          src: "/",
          dest: "/",
          copyDirContentsOnly: true,
        }),
      ),
      { escape: root },
    );
    expect(readlinkSync(join(out, "absolute"))).toBe("/etc/passwd");
    expect(readlinkSync(join(out, "escaping"))).toBe("../../../../etc/passwd");
    expect(read(out, "sub/in")).toBe("in");
    expect(existsSync(join(out, "etc"))).toBe(false);
  });

  it("MetadataOnlyLocal: sends the content of the excepted files alone, and lists all of them", async ({
    skip,
  }) => {
    const root = tree({ "data/keep": "kept", "data/skip": "skipped", other: "o" });
    const options: LocalOptions = { metadataOnlyTransfer: ["data/keep"], sharedKeyHint: id };
    const state = scratch().file(
      copy(local("meta", options), { src: "/", dest: "/", copyDirContentsOnly: true }),
    );
    if (!(await client.facts()).llbCaps.has("source.local.metadatatransfer")) {
      const refusal = await exported(state, { meta: root }).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
      skip(`${name}: ${(refusal as Error).message}`);
    }
    const out = await exported(state, { meta: root });
    expect(list(out)).toEqual([".fsutil-metadata", "data", "data/keep"]);
    expect(read(out, "data/keep")).toBe("kept");
    const listed = readFileSync(join(out, ".fsutil-metadata"), "latin1");
    const places = ["data", "data/keep", "data/skip", "other"].map((path) => listed.indexOf(path));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places).not.toContain(-1);
  });

  it("BuildHTTPSourceAuthHeaderSecret: sends a secret of the session as the Authorization header", async ({
    skip,
  }) => {
    const seen: (string | undefined)[] = [];
    const server: Server = createServer((request, response) => {
      seen.push(request.headers.authorization);
      response.end("private");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as { port: number }).port}/private-${id}`;
      const target = mkdtempSync(join(dir, "auth-"));
      const solve = (): Promise<unknown> =>
        client.solve(marshal(http(url, { authHeaderSecret: "http-secret" })), {
          outputs: [localDir(target)],
          secrets: { "http-secret": "Bearer hush" },
        }).result;
      if (!(await client.facts()).llbCaps.has("source.http.auth")) {
        const refusal = await solve().catch((error: unknown) => error);
        expect(refusal).toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
        expect(seen).toEqual([]);
        skip(`${name}: ${(refusal as Error).message}`);
      }
      await solve();
      expect(new Set(seen)).toEqual(new Set(["Bearer hush"]));
    } finally {
      server.close();
    }
  });

  it("BuildHTTPSource: fetches, names, reuses by etag, and says 404", async () => {
    let fetched = 0;
    const server: Server = createServer((request, response) => {
      if (request.url !== "/foo") {
        response.writeHead(404).end();
        return;
      }
      if (request.headers["if-none-match"] === `"${id}"`) {
        response.writeHead(304).end();
        return;
      }
      if (request.method === "GET") fetched += 1;
      response.writeHead(200, { etag: `"${id}"`, "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT" });
      response.end(request.method === "HEAD" ? "" : `content ${id}`);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
      await expect(exported(http(`${base}/nothing`))).rejects.toThrow(/404/);
      const out = await exported(http(`${base}/foo`));
      expect(read(out, "foo")).toBe(`content ${id}`);
      expect(statSync(join(out, "foo")).mtime.toUTCString()).toBe("Wed, 21 Oct 2015 07:28:00 GMT");
      await exported(http(`${base}/foo`));
      expect(fetched).toBe(1);
      const named = await exported(http(`${base}/foo`, { filename: "bar", chmod: 0o741 }));
      expect(list(named)).toEqual(["bar"]);
      expect(statSync(join(named, "bar")).mode & 0o777).toBe(0o741);
    } finally {
      server.close();
    }
  });
});

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { copy, marshal, mkfile, scratch } from "../../src/llb/index.js";
import {
  Client,
  type ClientSolveOptions,
  type ClientSolveResult,
  type DockerfileOptions,
  localDir,
  openLocalTree,
  registry as registryOutput,
  type SolveError,
  type SolveEvent,
} from "../../src/solver/index.js";
import { elsewhere } from "./support/elsewhere.js";
import { describeEachEngine, registry } from "./support/engines.js";
import { readRegistryImage } from "./support/registry-image.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-frontend-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** A project directory with these files. */
function project(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(dir, "project-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

function treesOf(root: string): ReadonlyMap<string, ReturnType<typeof openLocalTree>> {
  return new Map([
    ["context", openLocalTree(root)],
    ["dockerfile", openLocalTree(root)],
  ]);
}

const multiStage = `FROM busybox:latest AS base
ARG WHO=nobody
RUN echo "hello $WHO" > /greeting

FROM base AS tested
RUN --mount=type=secret,id=token,required=true cat /run/secrets/token | wc -c > /token-length

FROM scratch AS out
COPY --from=base /greeting /greeting
COPY in /in/
LABEL made=file

FROM base AS broken
RUN echo before
RUN echo last words >&2; \\
    exit 23
RUN echo after
`;

describeEachEngine("the Dockerfile frontend", ({ name, address }) => {
  let client: Client;
  let root: string;
  beforeAll(async () => {
    client = await Client.connect(address);
    root = project({
      Dockerfile: multiStage,
      "in/kept": "kept",
      "in/left-out": "left out",
      ".dockerignore": "in/left-out\n",
    });
  });
  afterAll(() => client.close());

  async function build(
    frontendOptions: DockerfileOptions,
    options: ClientSolveOptions = {},
    on: Client = client,
  ): Promise<{ out: string; result: ClientSolveResult; events: SolveEvent[] }> {
    const out = mkdtempSync(join(dir, "out-"));
    const solve = on.solve(
      { frontend: "dockerfile.v0", frontendOptions },
      { trees: treesOf(root), ...options, outputs: [localDir(out), ...(options.outputs ?? [])] },
    );
    const events: SolveEvent[] = [];
    for await (const event of solve) events.push(event);
    return { out, result: await solve.result, events };
  }

  it("builds a stage of a local context, with build arguments, without what .dockerignore names", async () => {
    const image = `${registry()}/frontend/${name}:${Date.now()}`;
    const { out, events } = await build(
      { target: "out", buildArgs: { WHO: "kiln" }, labels: { told: "caller" } },
      { outputs: [registryOutput(image)] },
    );
    expect(readFileSync(join(out, "greeting"), "utf8")).toBe("hello kiln\n");
    expect(readFileSync(join(out, "in/kept"), "utf8")).toBe("kept");
    expect(() => readFileSync(join(out, "in/left-out"))).toThrow(/ENOENT/);
    const pushed = await readRegistryImage(image);
    expect(pushed.config.config?.Labels).toEqual({ made: "file", told: "caller" });
    expect([...pushed.files.keys()].sort()).toEqual(["greeting", "in", "in/kept"]);
    const names = events.flatMap((event) => (event.type === "vertex.done" ? [event.name] : []));
    expect(names.join("\n")).toMatch(/\[out 1\/2\] COPY --from=base/);
  });

  it("gives secrets to its steps", async () => {
    const { out } = await build({ target: "tested" }, { secrets: { token: "twelve bytes" } });
    expect(readFileSync(join(out, "token-length"), "utf8").trim()).toBe("12");
    await expect(build({ target: "tested", noCache: true })).rejects.toThrow(/token/);
  });

  it("says where in the Dockerfile a step failed, with its last words", async () => {
    const error: SolveError = await build({ target: "broken" }).then(
      () => {
        throw new Error("it did not fail");
      },
      (reason: SolveError) => reason,
    );
    expect(error).toMatchObject({ code: "ERR_KILN_STEP_FAILED", exitCode: 23, logTail: ["last words"] });
    expect(error.message).toMatch(/^Dockerfile:15: .*exit code: 23$/s);
    expect(error.sources[0]).toMatchObject({ filename: "Dockerfile" });
    expect(error.sources[0]?.excerpt).toContain(">>> 15 | RUN echo last words >&2; \\\n>>> 16 |     exit 23");
    expect(error.vertexName).toContain("[broken 2/3]");
    const unknown = build({ target: "no-such" });
    await expect(unknown).rejects.toMatchObject({ code: "ERR_KILN_SOLVE_FAILED" });
    await expect(unknown).rejects.toThrow(/no-such/);
  });

  it("says where a Dockerfile cannot be read", async () => {
    const wrong = project({ Dockerfile: "FROM busybox:latest\n\nRUNN true\n" });
    await expect(build({}, { trees: treesOf(wrong) })).rejects.toMatchObject({
      message: expect.stringMatching(/^Dockerfile:3: .*RUNN/s),
      sources: [{ filename: "Dockerfile" }],
    });
  });

  it("hands hosts, limits and names on to the steps", async () => {
    const told = project({
      "docker/own.Dockerfile":
        "FROM busybox:latest AS run\nRUN cat /etc/hosts > /hosts; ulimit -n > /nofile; hostname > /name; " +
        "df -k /dev/shm | tail -1 > /shm; tail -n +3 /proc/net/dev | cut -d: -f1 > /net\nFROM scratch\nCOPY --from=run /hosts /nofile /name /shm /net /\n",
    });
    const { out } = await build(
      {
        filename: "docker/own.Dockerfile",
        addHosts: { "a.example": "10.1.2.3", "b.example": "fd00::1" },
        ulimits: { nofile: { soft: 77, hard: 99 } },
        hostname: "kiln-host",
        shmSize: 8 * 1024 * 1024,
        networkMode: "none",
        platforms: ["linux/amd64"],
        noCache: ["run"],
      },
      { trees: treesOf(told) },
    );
    const read = (file: string): string => readFileSync(join(out, file), "utf8").trim();
    expect(read("hosts")).toMatch(/10\.1\.2\.3\s+a\.example/);
    expect(read("hosts")).toMatch(/fd00::1\s+b\.example/);
    expect(read("nofile")).toBe("77");
    expect(read("name")).toBe("kiln-host");
    expect(read("shm")).toContain(" 8192 ");
    expect(read("net")).toBe("lo");
  });

  it("takes graphs as context and named contexts, trees and images by name", async () => {
    const text = [
      "FROM pinned AS image",
      "FROM scratch",
      "COPY --from=graph /made /graph",
      "COPY --from=tree /in/kept /tree",
      "COPY --from=image /bin/busybox /busybox",
      "COPY own /own",
      "",
    ].join("\n");
    const context = scratch().file(mkfile("/Dockerfile", text)).file(mkfile("/own", "own"));
    const graph = scratch().file(mkfile("/made", "by graph"));
    const out = mkdtempSync(join(dir, "contexts-"));
    await client.solve(
      {
        frontend: "dockerfile.v0",
        frontendOptions: {
          contexts: {
            graph: marshal(graph),
            tree: "local:other",
            pinned: `docker-image://${registry()}/library/busybox:1.36`,
          },
        },
        frontendInputs: { context: marshal(context), dockerfile: marshal(context) },
      },
      { trees: new Map([["other", openLocalTree(root)]]), outputs: [localDir(out)] },
    ).result;
    const read = (file: string): string => readFileSync(join(out, file), "utf8");
    expect([read("graph"), read("tree"), read("own")]).toEqual(["by graph", "kept", "own"]);
    expect(read("busybox").length).toBeGreaterThan(0);
  });

  it("imports a cache that another build left in a registry", async () => {
    const ref = `${registry()}/frontend/${name}-cache:${Date.now()}`;
    const random = project({
      Dockerfile: `FROM busybox:latest AS r\nRUN echo ${ref}; head -c 16 /dev/urandom | od -An -tx1 > /unique\nFROM scratch\nCOPY --from=r /unique /\n`,
    });
    const unique = async (options: ClientSolveOptions, on = client): Promise<string> =>
      readFileSync(join((await build({}, { trees: treesOf(random), ...options }, on)).out, "unique"), "utf8");
    const first = await unique({ cacheExports: [{ type: "registry", ref, mode: "max" }] });
    await using other = await Client.connect(elsewhere({ name, address }));
    expect(await unique({ cacheImports: [{ type: "registry", ref }] }, other)).toBe(first);
  });

  it("tells two projects' contexts of one name, size and time apart", async () => {
    const texts = ["aaaa", "bbbb"];
    const built: string[] = [];
    for (const text of texts) {
      const one = project({ Dockerfile: "FROM scratch\nCOPY file /\n", file: text });
      const { utimesSync } = await import("node:fs");
      for (const file of ["file", "Dockerfile"]) utimesSync(join(one, file), 1_000_000_000, 1_000_000_000);
      built.push(readFileSync(join((await build({}, { trees: treesOf(one) })).out, "file"), "utf8"));
    }
    expect(built).toEqual(texts);
  });

  it("tells a build's outline, targets and doubtful lines, as far as the daemon knows", async () => {
    const what = { frontend: "dockerfile.v0", frontendOptions: { target: "tested" } } as const;
    const options = { trees: treesOf(root) };
    const outline = await client.askFrontend("outline", what, options);
    expect(outline.name).toBe("tested");
    expect(outline.args).toContainEqual({ name: "WHO", description: "", value: "nobody", line: 2 });
    expect(outline.secrets).toEqual([{ id: "token", required: true, line: 6 }]);
    const targets = await client.askFrontend("targets", { frontend: "dockerfile.v0" }, options);
    expect(targets.map((target) => [target.name, target.isDefault])).toEqual([
      ["base", false],
      ["tested", false],
      ["out", false],
      ["broken", true],
    ]);
    const known = await client.askFrontend("describe", { frontend: "dockerfile.v0" }, options);
    expect(known.map((question) => question.name)).toContain("frontend.outline");
    const doubtful = project({ Dockerfile: "FROM busybox:latest as Lower\nRUN true\n" });
    const lint = client.askFrontend("lint", { frontend: "dockerfile.v0" }, { trees: treesOf(doubtful) });
    if (name === "older") {
      await expect(lint).rejects.toMatchObject({ code: "ERR_KILN_UNSUPPORTED" });
    } else {
      const { warnings, error } = await lint;
      expect(error).toBeUndefined();
      expect(warnings.map(({ rule, line }) => [rule, line])).toEqual(
        expect.arrayContaining([
          ["StageNameCasing", 1],
          ["FromAsCasing", 1],
        ]),
      );
    }
  });

  it("builds what a chain of graphs copies out of a frontend's result", async () => {
    const out = mkdtempSync(join(dir, "mixed-"));
    await client.build(
      async (gateway) => {
        const { ref } = await gateway.solve({
          frontend: "dockerfile.v0",
          frontendOptions: { target: "base" },
        });
        if (ref === undefined) throw new Error("the frontend made nothing");
        const state = scratch().file(copy(await ref.toState(), { src: "/greeting", dest: "/" }));
        return gateway.solve({ definition: marshal(state) });
      },
      { trees: treesOf(root), outputs: [localDir(out)] },
    ).result;
    expect(readFileSync(join(out, "greeting"), "utf8")).toBe("hello nobody\n");
  });
});

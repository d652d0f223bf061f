import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { elsewhere } from "./support/elsewhere.js";
import { describeEachEngine, registry } from "./support/engines.js";
import { runCli } from "./support/run-cli.js";

const root = new URL("../../", import.meta.url).pathname;
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-cli-options-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

interface Descriptor {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}
interface Manifest {
  readonly manifests?: readonly Descriptor[];
  readonly layers?: readonly Descriptor[];
  readonly config?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

function recipe(body: string): string {
  const file = join(mkdtempSync(join(dir, "recipe-")), "image.mjs");
  const index = JSON.stringify(join(root, "dist/index.js"));
  writeFileSync(
    file,
    `import { Image, defineStep } from ${index};\nconst base = Image.fromRegistry("busybox:latest");\n${body}\n`,
  );
  return file;
}

function manifestOf(layout: string, digest: string): Manifest {
  return JSON.parse(readFileSync(join(layout, "blobs/sha256", digest.slice(7)), "utf8")) as Manifest;
}

describeEachEngine("kiln build's options", ({ name, address }) => {
  const unique = (): string => `${name}-${Date.now()}-${Math.random().toString(36).slice(2)}`;

  it("writes an attested, annotated image with its metadata and id", async () => {
    const out = join(dir, unique());
    const { code, stderr } = await runCli([
      ...["build", recipe('export default base.runCommands("true");'), "-o", `oci:${out}`],
      ...[
        "--host",
        address,
        "--cwd",
        dir,
        "--provenance",
        "mode=min",
        "--annotation",
        "index:org.example.a=b",
      ],
      ...["--annotation", "plain=c=d", "--metadata-file", `${name}.json`, "--iidfile", `${name}.iid`],
    ]);
    expect(stderr).toContain("built in");
    expect(code).toBe(0);
    const [top] = layoutIndexOf(out).manifests ?? [];
    const index = manifestOf(out, top?.digest ?? "");
    expect(index.annotations).toMatchObject({ "org.example.a": "b" });
    const manifests = (index.manifests ?? []).map(({ digest }) => manifestOf(out, digest));
    expect(manifests[0]?.annotations).toEqual({ plain: "c=d" });
    const types = manifests.flatMap(({ layers = [] }) =>
      layers.flatMap(({ annotations }) => annotations?.["in-toto.io/predicate-type"] ?? []),
    );
    expect(types).toEqual([expect.stringContaining("slsa.dev/provenance")]);
    const metadata = JSON.parse(readFileSync(join(dir, `${name}.json`), "utf8")) as Record<string, unknown>;
    expect(metadata).toMatchObject({
      "containerimage.digest": top?.digest,
      "containerimage.descriptor": { digest: top?.digest },
      "kiln.build.ref": expect.stringMatching(/^[a-z0-9]{25}$/),
    });
    const iid = readFileSync(join(dir, `${name}.iid`), "utf8");
    expect(iid).toBe(metadata["containerimage.config.digest"] ?? top?.digest);
  });

  it("takes all from the cache that another engine wrote", async () => {
    const ref = `${registry()}/cli-options/${unique()}:cache`;
    const file = recipe(`export default base.runCommands("echo ${ref}");`);
    const first = await runCli([
      "build",
      file,
      "--host",
      address,
      "--cache-to",
      `type=registry,ref=${ref},mode=max`,
    ]);
    expect(first.code, first.stderr).toBe(0);
    const second = await runCli([
      ...["build", file, "--host", elsewhere({ name, address }), "--cache-from", ref, "--json"],
    ]);
    expect(second.code, second.stderr).toBe(0);
    expect(JSON.parse(second.stdout)).toMatchObject({ cache: { ran: 0, cached: 2 }, ignoredFailures: [] });
    const lost = await runCli(["build", file, "--host", address, "--cache-from", `${ref}-gone`]);
    expect(lost.code).toBe(0);
    expect(lost.stderr).toMatch(/warning: .*-gone/);
  });

  it("hands on secrets, rights and source policies", async () => {
    const file = recipe(
      `const step = defineStep({ id: "s", version: 1, validate: (x) => x, title: () => "s", lower: (chain, args, context) => ` +
        `({ ...chain, state: chain.state.run(["/bin/sh", "-c", args], { ...context.constraints("s"), network: "host", ` +
        `secrets: [{ id: "e", target: "/e" }, { id: "f", target: "/f" }] }).root() }) });\n` +
        `export default base.step(step, "cat /e /f > /both # ${unique()}");`,
    );
    const cwd = mkdtempSync(join(dir, "cwd-"));
    writeFileSync(join(cwd, "secret"), " and file");
    const args = ["build", file, "--host", address, "--cwd", cwd];
    const secrets = ["--secret", "id=e,env=KILN_TEST_SECRET", "--secret", "id=f,src=secret"];
    const env = { KILN_TEST_SECRET: "variable" };
    const refused = await runCli([...args, ...secrets], { env });
    expect(refused.stderr).toContain("[ERR_KILN_ENTITLEMENT]");
    const built = await runCli([...args, ...secrets, "--allow", "network.host", "-o", "local:out"], { env });
    expect(built.code, built.stderr).toBe(0);
    expect(readFileSync(join(cwd, "out/both"), "utf8")).toBe("variable and file");
    expect(built.stderr).not.toContain("variable and file");
    writeFileSync(
      join(cwd, "policy.json"),
      '{"rules":[{"action":"DENY","selector":{"identifier":"docker-image://*/library/busybox:*"}}]}',
    );
    const denied = await runCli([...args, "--source-policy-file", "policy.json"]);
    expect(denied.code).toBe(1);
    expect(denied.stderr).toMatch(/polic|den/i);
    expect(denied.stderr).toContain(`${file}:2:`);
  });
});

it.each([
  ["--cache-to type=ftp", ["--cache-to", "type=ftp"], "Types: registry, local"],
  ["--cache-from with a key of exports", ["--cache-from", "type=registry,ref=a,mode=max"], 'no key "mode"'],
  ["--secret without an id", ["--secret", "src=x"], "it has no id"],
  ["--allow anything", ["--allow", "root"], "network.host, security.insecure"],
  ["--provenance maybe", ["--provenance", "maybe"], "--provenance"],
  ["--annotation without an image", ["--annotation", "a=b", "-o", "local:x"], "no output is an image"],
  ["--iidfile without an image", ["--iidfile", "x"], "no output is an image"],
  ["a policy that is not there", ["--source-policy-file", "no-such.json"], "no-such.json"],
])("refuses %s before it looks for a daemon", async (_title, args, text) => {
  const cwd = mkdtempSync(join(dir, "refused-"));
  const { code, stderr } = await runCli(["build", "image.mjs", "--host", "unix:///no/such", ...args], {
    cwd,
  });
  expect(stderr).toContain(text);
  expect(code).toBe(2);
  expect(existsSync(join(cwd, "x"))).toBe(false);
});

function layoutIndexOf(layout: string): Manifest {
  return JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as Manifest;
}

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, it } from "vitest";
import { stampOutputs } from "../../src/engine/outputs/output-checks.js";
import { RegistryAccess } from "../../src/engine/registries/registry-access.js";
import { mediaTypes, sha256 } from "../../src/oci/index.js";
import { dockerImage, localDir, ociLayout, ociTar, registry } from "../../src/solver/outputs.js";
import { writeFakeImage } from "../unit/oci/fake-image.js";
import { startFakeRegistry } from "../unit/oci/fake-registry.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
let dir: string;

/** Tells the file `seen` of every module that is loaded. */
const hooks = `
import { register } from "node:module";
register("data:text/javascript," + encodeURIComponent(\`
  import { appendFileSync } from "node:fs";
  export async function resolve(specifier, context, next) {
    const found = await next(specifier, context);
    appendFileSync(process.env.SEEN, found.url + "\\\\n");
    return found;
  }
\`));
`;

/** Checks what the file `JOB` says. */
const program = `
import { readFileSync } from "node:fs";
const { checkOutputs } = await import("./output-checks.js");
const { RegistryAccess } = await import("./registry-access.js");
const { outputs, stamps, daemon, images } = JSON.parse(readFileSync(process.env.JOB, "utf8"));
const registries = new RegistryAccess({ env: { DOCKER_CONFIG: "/nonexistent" } });
const result = await checkOutputs(outputs, stamps, { daemon, images, registries, publish: undefined });
console.log(JSON.stringify({ result }));
`;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-light-"));
  mkdirSync(join(dir, "out"));
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  const entries = ["engine/outputs/output-checks", "engine/registries/registry-access", "solver/client"];
  const bundle = await rolldown({
    input: Object.fromEntries(
      entries.map((name) => [name.split("/").at(-1), join(root, "src", `${name}.ts`)]),
    ),
    external: [/^node:/, /^[@a-z]/],
    platform: "node",
  });
  await bundle.write({ dir, format: "esm" });
  await bundle.close();
  writeFileSync(join(dir, "hooks.mjs"), hooks);
  writeFileSync(join(dir, "check.mjs"), program);
  writeFileSync(join(dir, "client.mjs"), 'await import("./client.js");');
  writeFileSync(join(dir, "package.json"), '{"type":"module"}');
}, 60_000);

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Runs a program in a process of its own: what it printed, and the packages that it loaded. */
async function run(
  name: string,
  job = "{}",
): Promise<{ readonly output: string; readonly packages: Set<string> }> {
  const seen = join(dir, `${name}.seen`);
  writeFileSync(seen, "");
  writeFileSync(join(dir, "job.json"), job);
  const child = spawn(process.execPath, ["--import", join(dir, "hooks.mjs"), join(dir, name)], {
    env: { ...process.env, SEEN: seen, JOB: join(dir, "job.json") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += String(chunk);
  });
  await new Promise((resolve) => child.once("close", resolve));
  const urls = readFileSync(seen, "utf8");
  return {
    output,
    packages: new Set([...urls.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)].map((m) => m[1]!)),
  };
}

it("checking outputs of all kinds loads no package at all", async () => {
  await using images = await startFakeRegistry();
  const bytes = Buffer.from("{}");
  images.manifests.set("app:1", { mediaType: mediaTypes.ociManifest, bytes });
  const socket = join(dir, "docker.sock");
  const docker = createServer((_request, response) => {
    response.end(JSON.stringify({ Id: sha256("i"), RepoTags: ["app:1"] }));
  });
  await new Promise<void>((resolve) => docker.listen(socket, resolve));
  const layout = await writeFakeImage(join(dir, "layout"), { label: "a", layers: ["a"] });
  writeFileSync(join(dir, "image.tar"), "tar");
  const outputs = [
    registry(`${images.host}/app:1`),
    dockerImage("app:1"),
    ociLayout(join(dir, "layout")),
    ociTar(join(dir, "image.tar")),
    localDir(join(dir, "out")),
  ];
  const digests = [sha256(bytes), sha256("i"), layout.digest, sha256("t"), undefined];
  const context = {
    daemon: { address: `docker://${socket}` },
    images: { kind: "directory", dir: join(dir, "store") },
  } as const;
  const stamped = await stampOutputs(
    outputs,
    digests.map((digest) => ({ type: "oci", target: "", digest })),
    { ...context, registries: new RegistryAccess({ env: {} }), publish: undefined },
  );
  const { output, packages } = await run("check.mjs", JSON.stringify({ outputs, ...stamped, ...context }));
  docker.close();
  expect(output).toBe("{}\n");
  expect(images.seen).toHaveLength(1);
  expect([...packages]).toEqual([]);
});

it("would see the packages that a client loads", async () => {
  const { packages } = await run("client.mjs");
  expect(packages).toContain("@grpc/grpc-js");
  expect(packages).toContain("@bufbuild/protobuf");
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { checkOutputs, stampOutputs } from "../../src/engine/outputs/output-checks.js";
import { RegistryAccess } from "../../src/engine/registries/registry-access.js";
import { marshal, mkfile, scratch } from "../../src/llb/index.js";
import {
  Client,
  dockerImage,
  dockerTar,
  filesTar,
  localDir,
  type Output,
  ociLayout,
  registry as registryOutput,
} from "../../src/solver/index.js";
import { removeDockerImage } from "./support/docker-image.js";
import { describeEachEngine, registry } from "./support/engines.js";

let dir: string;
let registries: RegistryAccess;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "kiln-outputs-"));
  registries = new RegistryAccess({ env: {} });
});

afterAll(() => {
  registries.close();
  rmSync(dir, { recursive: true, force: true });
});

describeEachEngine("what a build wrote", ({ name, address }) => {
  it("is known to be there until any of it is not", async () => {
    await using client = await Client.connect(address, { env: {} });
    const mark = `${name}-${Date.now()}`;
    const tags = [`kiln-checked-${mark}:1`, `localhost:5000/kiln/checked-${mark}`];
    const place = (what: string): string => join(dir, `${what}-${mark}`);
    const files: readonly Output[] = [
      ociLayout(place("layout"), { name: "app:2" }),
      dockerTar(place("docker.tar")),
      filesTar(place("files.tar")),
      localDir(place("files")),
    ];
    const outputs = [...files, dockerImage(tags), registryOutput(`${registry()}/checked/${mark}:1`)];
    const context = {
      daemon: { address },
      registries,
      images: { kind: "directory", dir: place("store") },
      publish: undefined,
    } as const;
    const build = async (content: string, wanted: readonly Output[]) =>
      (await client.solve(marshal(scratch().file(mkfile("/a", content))), { outputs: wanted }).result)
        .outputs;
    const stamped = await stampOutputs(outputs, await build(mark, outputs), context);
    expect(stamped).toMatchObject({ stamps: expect.any(Array) });
    const stamps: unknown = JSON.parse(JSON.stringify(stamped.stamps));
    const check = (): Promise<string | undefined> => checkOutputs(outputs, stamps, context);
    expect(await check()).toBeUndefined();

    // Another image under the same names, then none.
    await build(`${mark} other`, [dockerImage(tags[1] ?? "")]);
    expect(await check()).toMatch(/^localhost:5000\/kiln\/checked-.* is sha256:.* in Docker's store now$/);
    await removeDockerImage(address, tags[1] ?? "");
    expect(await check()).toBe(`Docker has no ${tags[1]} any more`);
    await build(mark, [dockerImage(tags)]);
    expect(await check()).toBeUndefined();
    await build(`${mark} other`, [registryOutput(`${registry()}/checked/${mark}:1`)]);
    expect(await check()).toContain(`/checked/${mark}:1 is sha256:`);
    for (const tag of tags) await removeDockerImage(address, tag);
    expect(await check()).toBe(`Docker has no ${tags[0]} any more`);
  });
});

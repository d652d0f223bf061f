import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { copy, marshal, image as registryImage, type State, scratch } from "../../src/llb/index.js";
import { engineUp } from "../../src/provision/index.js";
import { Client, localDir } from "../../src/solver/index.js";
import { engines, registry } from "./support/engines.js";
import { type OwnPrefix, ownPrefix } from "./support/own-prefix.js";

const device = "vendor.example/guarded=0";

let dir: string;
let own: OwnPrefix;
let client: Client;

/** Two harmless devices: whoever asks gets `open`; `guarded` has to be granted. */
function writeDevices(folder: string): void {
  mkdirSync(folder);
  for (const name of ["open", "guarded"]) {
    const spec = {
      cdiVersion: "0.6.0",
      kind: `vendor.example/${name}`,
      ...(name === "open" ? { annotations: { "org.mobyproject.buildkit.device.autoallow": "true" } } : {}),
      devices: [
        {
          name: "0",
          containerEdits: {
            env: [`KILN_${name.toUpperCase()}=yes`],
            deviceNodes: [{ path: `/dev/kiln-${name}`, hostPath: "/dev/zero" }],
          },
        },
      ],
    };
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(spec));
  }
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-devices-"));
  writeDevices(join(dir, "cdi"));
  own = ownPrefix();
  const { address } = await engineUp({
    prefix: own.path,
    mirror: registry(),
    settings: { "cdi-spec-dirs": [join(dir, "cdi")] },
  });
  client = await Client.connect(address);
});

afterAll(async () => {
  await client?.close();
  await own?.remove();
  rmSync(dir, { recursive: true, force: true });
});

/** What a command sees that asks for devices. */
async function seen(
  names: readonly { readonly name: string; readonly optional?: boolean }[],
  entitlements: readonly string[] = [],
): Promise<string> {
  const target = mkdtempSync(join(dir, "out-"));
  const busybox: State = registryImage(`${registry()}/library/busybox:1.36`);
  const script =
    'printf "open:$KILN_OPEN guarded:$KILN_GUARDED" > /out; ls /dev/kiln-* >> /out 2>/dev/null; true';
  const command = busybox.run(["sh", "-c", script], { cdiDevices: names, ignoreCache: true });
  const result = scratch().file(copy(command.root(), { src: "/out", dest: "/out" }));
  await client.solve(marshal(result), { entitlements, outputs: [localDir(target)] }).result;
  return readFileSync(join(target, "out"), "utf8");
}

it("tells which devices are anybody's", async () => {
  const { workers } = await client.facts();
  expect(workers[0]?.devices.map(({ name, autoAllow }) => `${name} ${autoAllow}`).toSorted()).toEqual([
    `${device} false`,
    "vendor.example/open=0 true",
  ]);
});

it("CDINotAllowed: a device that is not anybody's is refused to a build that was not granted it", async () => {
  expect(await seen([{ name: "vendor.example/open=0" }])).toBe("open:yes guarded:/dev/kiln-open\n");
  for (const name of [device, "vendor.example/guarded", "vendor.example/guarded=*"]) {
    await expect(seen([{ name }])).rejects.toMatchObject({
      code: "ERR_KILN_ENTITLEMENT",
      message: expect.stringContaining(`device ${device} is requested by the build but not allowed`),
      hint: expect.stringContaining("entitlements"),
    });
  }
  await expect(seen([{ name: "vendor.example/open=0" }, { name: device }])).rejects.toThrow(/not allowed/);
  // Optional is whether it exists, not whether it is allowed.
  await expect(seen([{ name: device, optional: true }])).rejects.toThrow(/not allowed/);
});

it("CDIEntitlement: a build that was granted the device gets it, and no other", async ({ skip }) => {
  const grant = `device=${device}`;
  const refusal = await seen([{ name: device }], [grant]).catch((error: Error & { code: string }) => error);
  if (typeof refusal !== "string") {
    // Docker has a setting for this from 29 on.
    expect(refusal).toMatchObject({
      code: "ERR_KILN_ENTITLEMENT",
      message: "granting entitlement device is not allowed by build daemon configuration",
    });
    skip(`modern: ${refusal.message}`);
  }
  expect(refusal).toBe("open: guarded:yes/dev/kiln-guarded\n");
  await expect(seen([{ name: device }], ["device=vendor.example/open=0"])).rejects.toThrow(/not allowed/);
});

it("the entitlement is refused by name where the daemon does not know it", async ({ skip }) => {
  const older = engines().find(({ name }) => name === "older");
  if (older === undefined) return skip("KILN_TEST_ENGINES leaves the older engine out");
  await using client = await Client.connect(older.address);
  const solve = client.solve(marshal(scratch()), { entitlements: [`device=${device}`] });
  await expect(solve.result).rejects.toMatchObject({
    code: "ERR_KILN_UNSUPPORTED",
    message: expect.stringMatching(/entitlement device/),
  });
});

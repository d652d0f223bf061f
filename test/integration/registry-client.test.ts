import { createPrivateKey, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RegistryAccess } from "../../src/engine/registries/registry-access.js";
import {
  type Descriptor,
  type OciLayout,
  openOciLayout,
  parsePlatform,
  sha256,
} from "../../src/oci/index.js";
import type { RegistryClient } from "../../src/oci/registry/registry-client.js";
import { registryUp } from "../../src/provision/index.js";
import { makeAuthority } from "./support/certificates.js";
import { baseLayout, registry } from "./support/engines.js";
import { type OwnPrefix, ownPrefix } from "./support/own-prefix.js";
import { readRegistryImage } from "./support/registry-image.js";
import { startTokenServer, type TokenServer, tokenNames } from "./support/token-server.js";

const user = "kiln";
const password = `pass-${randomUUID()}`;

let dir: string;
let own: OwnPrefix;
let tokens: TokenServer;
let guarded: string;
let layout: OciLayout;
let image: Awaited<ReturnType<OciLayout["image"]>>;
const open: RegistryAccess[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "kiln-client-"));
  own = ownPrefix();
  const signer = makeAuthority(dir, "signer");
  tokens = await startTokenServer({
    ...{ username: user, password, key: createPrivateKey(readFileSync(signer.key, "utf8")) },
    certificate: readFileSync(signer.cert, "utf8"),
  });
  const auth = { kind: "token", ...tokenNames, realm: tokens.realm, certificates: signer.cert } as const;
  ({ host: guarded } = await registryUp({ prefix: own.path, listenOn: "127.0.0.1", auth }));
  layout = await openOciLayout(baseLayout("busybox"));
  image = await layout.image(undefined, parsePlatform("linux/amd64"));
}, 60_000);

afterAll(async () => {
  for (const access of open) access.close();
  tokens?.close();
  await own?.remove();
  rmSync(dir, { recursive: true, force: true });
});

function access(secret = password): RegistryAccess {
  const made = new RegistryAccess({
    env: {},
    credentials: async (host) => (host === guarded ? { username: user, secret } : undefined),
  });
  open.push(made);
  return made;
}

/** Pushes the base image; says how each blob got there. */
async function push(client: RegistryClient, mountFrom?: string): Promise<readonly string[]> {
  const blobs: readonly Descriptor[] = [image.manifest.config, ...image.manifest.layers];
  const outcomes: string[] = [];
  for (const blob of blobs) {
    outcomes.push(await client.uploadBlob(blob, layout.blobPath(blob.digest), { mountFrom }));
  }
  const { digest, mediaType } = image.manifestDescriptor;
  await client.putManifest("1", mediaType, readFileSync(layout.blobPath(digest)));
  return outcomes;
}

describe.each([
  ["open to all", () => registry()],
  ["that wants tokens", () => guarded],
])("a registry %s", (_title, host) => {
  it("takes an image, knows it, and lends its blobs to another repository", async () => {
    const mark = randomUUID();
    const registries = access();
    const first = registries.client(`${host()}/client/first-${mark}`);
    expect(await first.headManifest("1")).toBeUndefined();
    expect(new Set(await push(first))).toEqual(new Set(["uploaded"]));
    expect(new Set(await push(first))).toEqual(new Set(["exists"]));
    const { digest, size, mediaType } = image.manifestDescriptor;
    expect(await first.headManifest("1")).toEqual({ digest, size, mediaType });
    expect(await first.headManifest(digest)).toEqual({ digest, size, mediaType });
    const { bytes } = await first.getManifest("1");
    expect(sha256(bytes)).toBe(digest);

    const second = registries.client(`${host()}/client/second-${mark}`);
    const [layer] = image.manifest.layers;
    if (layer === undefined) throw new Error("the base has no layer");
    expect(await second.headBlob(layer.digest)).toBeUndefined();
    expect(new Set(await push(second, `client/first-${mark}`))).toEqual(new Set(["mounted"]));
    expect(await second.headBlob(layer.digest)).toEqual({ size: layer.size });
    const part: Uint8Array[] = [];
    for await (const chunk of second.readBlob(layer.digest, { start: 1_000, end: 2_000 })) part.push(chunk);
    const file = readFileSync(layout.blobPath(layer.digest));
    expect(Buffer.concat(part).equals(file.subarray(1_000, 2_000))).toBe(true);
    let total = 0;
    for await (const chunk of second.readBlob(layer.digest, { size: layer.size })) total += chunk.length;
    expect(total).toBe(layer.size);
    expect(await second.mountBlob(layer.digest, `client/none-${mark}`)).toBe(false);
  });

  it("refuses a manifest whose blobs it has not, and a blob of another digest", async () => {
    const client = access().client(`${host()}/client/refused-${randomUUID()}`);
    const { digest, mediaType } = image.manifestDescriptor;
    await expect(
      client.putManifest("1", mediaType, readFileSync(layout.blobPath(digest))),
    ).rejects.toMatchObject({ code: "ERR_KILN_BLOB_NOT_FOUND" });
    const wrong = { digest: sha256("other"), size: image.manifest.config.size };
    await expect(
      client.uploadBlob(wrong, layout.blobPath(image.manifest.config.digest)),
    ).rejects.toMatchObject({ code: "ERR_KILN_DIGEST_MISMATCH" });
  });
});

it("what is pushed can be read back by others", async () => {
  const name = `${registry()}/client/whole-${randomUUID()}`;
  await push(access().client(name));
  const read = await readRegistryImage(`${name}:1`);
  expect(read.digest).toBe(image.manifestDescriptor.digest);
  expect([...read.files.keys()]).toContain("bin/busybox");
});

it("a wrong password is refused, and is in no message", async () => {
  const wrong = `wrong-${randomUUID()}`;
  const client = access(wrong).client(`${guarded}/client/first`);
  const error = await client.headManifest("1").catch((reason: unknown) => reason as Error);
  expect(error).toMatchObject({ code: "ERR_KILN_UNAUTHORIZED" });
  expect(JSON.stringify([error, (error as Error).message, (error as Error).stack])).not.toContain(wrong);
});

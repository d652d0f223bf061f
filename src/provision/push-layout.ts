import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { KilnError } from "../errors.js";
import { readLayout } from "./read-layout.js";

/**
 * Pushes the one image of an OCI layout to a registry without authentication, over plain HTTP.
 *
 * For test registries: real pushes are the daemon's. `name` is a repository and tag, `library/busybox:1.36`.
 * Rejects with `ERR_KILN_ENGINE_SETUP` when the registry refuses.
 */
export async function pushLayout(dir: string, host: string, name: string): Promise<void> {
  const colon = name.lastIndexOf(":");
  const repository = `http://${host}/v2/${name.slice(0, colon)}`;
  const read = (digest: string): Promise<Buffer> =>
    readFile(join(dir, "blobs", "sha256", digest.slice("sha256:".length)));
  const { entry, bytes, manifest } = await readLayout(dir);
  for (const { digest } of [manifest.config, ...manifest.layers]) {
    const head = await fetch(`${repository}/blobs/${digest}`, { method: "HEAD" });
    if (head.ok) continue;
    const begun = await check(fetch(`${repository}/blobs/uploads/`, { method: "POST" }), name);
    const location = new URL(begun.headers.get("location") ?? "", repository);
    location.searchParams.set("digest", digest);
    await check(
      fetch(location, {
        method: "PUT",
        headers: { "content-type": "application/octet-stream" },
        body: new Uint8Array(await read(digest)),
      }),
      name,
    );
  }
  const put = fetch(`${repository}/manifests/${name.slice(colon + 1)}`, {
    method: "PUT",
    headers: { "content-type": entry.mediaType },
    body: new Uint8Array(bytes),
  });
  await check(put, name);
}

async function check(call: Promise<Response>, name: string): Promise<Response> {
  const response = await call;
  if (response.ok) return response;
  throw new KilnError("ERR_KILN_ENGINE_SETUP", `the registry refuses ${name}: status ${response.status}`, {
    hint: "Look into its log.",
  });
}

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { KilnError } from "../../src/errors.js";
import { mediaTypes, sha256 } from "../../src/oci/index.js";
import { HttpTransport, type TransportTls } from "../../src/oci/registry/http-transport.js";
import { RegistryClient } from "../../src/oci/registry/registry-client.js";
import { failureOf } from "../../src/oci/registry/registry-error.js";
import { makeAuthority, makeServerCertificate } from "../integration/support/certificates.js";

const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, n: 1 }));

describe("the way to a registry", () => {
  it("is HTTPS with any certificate on this machine where that is spoken", async () => {
    await using server = await startSecureServer();
    const client = new RegistryClient(`127.0.0.1:${server.port}/app`);
    expect(await client.headManifest("1")).toMatchObject({ digest: sha256(manifest) });
    client.close();
  });

  it("is HTTPS with a certificate that is trusted for everybody else", async () => {
    await using server = await startSecureServer();
    const subject = { repository: "r", what: "HEAD 1", isBlob: false };
    const ask = async (tls: TransportTls, trust: "own" | "unchecked" | "other"): Promise<unknown> => {
      const transport = new HttpTransport(tls, 5_000);
      const url = new URL(`https://127.0.0.1:${server.port}/`);
      try {
        const { status, stream } = await transport.send({ method: "GET", url, headers: {}, trust });
        stream.resume();
        return status;
      } catch (error) {
        return (failureOf(error, subject) as KilnError).code;
      } finally {
        transport.close();
      }
    };
    const { ca } = server;
    expect(await ask({ ca }, "own")).toBe(200);
    expect(await ask({}, "unchecked")).toBe(200);
    expect(await ask({}, "own")).toBe("ERR_KILN_UNTRUSTED_CERTIFICATE");
    // What the registry leads to is none of its own.
    expect(await ask({ ca }, "other")).toBe("ERR_KILN_UNTRUSTED_CERTIFICATE");
  });
});

/** A server with a certificate of its own making. */
async function startSecureServer(): Promise<
  AsyncDisposable & { readonly port: number; readonly ca: string }
> {
  const dir = mkdtempSync(join(tmpdir(), "kiln-tls-"));
  const authority = makeAuthority(dir, "authority");
  const ca = readFileSync(authority.cert, "utf8");
  const files = makeServerCertificate(dir, "registry", { authority, address: "127.0.0.1" });
  const pem = { cert: readFileSync(files.cert), key: readFileSync(files.key) };
  rmSync(dir, { recursive: true });
  const server = createHttps(pem, (request, response) => {
    const headers = { "docker-content-digest": sha256(manifest), "content-length": manifest.length };
    response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : manifest);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    ca,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

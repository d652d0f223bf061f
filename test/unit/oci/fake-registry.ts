import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { sha256 } from "../../../src/oci/index.js";

/** A request that a {@link FakeRegistry} got. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly contentRange: string | undefined;
}

/** Answers a request in place of the registry; `false` leaves it to it. */
export type Interception = (
  request: IncomingMessage,
  response: ServerResponse,
  seen: SeenRequest,
) => boolean | Promise<boolean>;

/** A registry in memory, as far as the distribution specification goes for one client. */
export interface FakeRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** `REPOSITORY:REF` or `REPOSITORY@DIGEST`. */
  readonly manifests: Map<string, { readonly mediaType: string; readonly bytes: Buffer }>;
  /** `REPOSITORY@DIGEST`. */
  readonly blobs: Map<string, Buffer>;
  readonly seen: SeenRequest[];
  /** Asked first, for each request. */
  intercept: Interception;
  /** Whether it says the digests of what it has. */
  saysDigests: boolean;
}

/** Starts one on loopback. */
export async function startFakeRegistry(): Promise<FakeRegistry> {
  const uploads = new Map<string, Buffer[]>();
  let sessions = 0;
  const server: Server = createServer((request, response) => {
    request.on("error", () => {});
    void serve(request, response).catch((error: unknown) => {
      response.destroy(error as Error);
    });
  });
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "", "http://x");
    const { authorization, range, "content-range": contentRange } = request.headers;
    const seen = {
      method: request.method ?? "",
      path: request.url ?? "",
      authorization,
      range,
      contentRange,
    };
    registry.seen.push(seen);
    if (await registry.intercept(request, response, seen)) return;
    const [, name = "", kind, what = ""] =
      /^\/v2\/(.+?)\/(manifests|blobs\/uploads|blobs)\/(.*)$/.exec(url.pathname) ?? [];
    if (kind === "manifests") await serveManifest(request, response, name, what);
    else if (kind === "blobs") serveBlob(request, response, `${name}@${what}`);
    else if (kind === "blobs/uploads") await serveUpload(request, response, { url, name, id: what });
    else fail(response, 404, "NAME_UNKNOWN", "no such thing");
  };
  const serveManifest = async (
    request: IncomingMessage,
    response: ServerResponse,
    name: string,
    ref: string,
  ): Promise<void> => {
    const key = ref.startsWith("sha256:") ? `${name}@${ref}` : `${name}:${ref}`;
    if (request.method === "PUT") {
      const bytes = await bodyOf(request);
      const manifest = { mediaType: request.headers["content-type"] ?? "", bytes };
      registry.manifests.set(key, manifest);
      registry.manifests.set(`${name}@${sha256(bytes)}`, manifest);
      response.writeHead(201, { "docker-content-digest": sha256(bytes) }).end();
      return;
    }
    const found = registry.manifests.get(key);
    if (found === undefined) return fail(response, 404, "MANIFEST_UNKNOWN", "manifest unknown");
    response.writeHead(200, {
      "content-type": found.mediaType,
      "content-length": found.bytes.length,
      ...(registry.saysDigests ? { "docker-content-digest": sha256(found.bytes) } : {}),
    });
    response.end(request.method === "HEAD" ? undefined : found.bytes);
  };
  const serveBlob = (request: IncomingMessage, response: ServerResponse, key: string): void => {
    const found = registry.blobs.get(key);
    if (found === undefined) fail(response, 404, "BLOB_UNKNOWN", "blob unknown");
    else sendBytes(request, response, found);
  };
  const serveUpload = async (
    request: IncomingMessage,
    response: ServerResponse,
    { url, name, id }: { readonly url: URL; readonly name: string; readonly id: string },
  ): Promise<void> => {
    const location = (session: string): string => `/v2/${name}/blobs/uploads/${session}?state=s-${session}`;
    if (request.method === "POST") {
      const mounted = url.searchParams.get("mount");
      const source = registry.blobs.get(`${url.searchParams.get("from")}@${mounted}`);
      if (source !== undefined) {
        registry.blobs.set(`${name}@${mounted}`, source);
        response.writeHead(201).end();
        return;
      }
      sessions += 1;
      const session = String(sessions);
      uploads.set(session, []);
      response.writeHead(202, { location: location(session) }).end();
      return;
    }
    const parts = uploads.get(id);
    if (parts === undefined || url.searchParams.get("state") !== `s-${id}`) {
      return fail(response, 404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
    }
    if (request.method === "DELETE") {
      uploads.delete(id);
      response.writeHead(204).end();
      return;
    }
    parts.push(await bodyOf(request));
    if (request.method === "PATCH") {
      response.writeHead(202, { location: location(id) }).end();
      return;
    }
    uploads.delete(id);
    const bytes = Buffer.concat(parts);
    const digest = url.searchParams.get("digest") ?? "";
    if (sha256(bytes) !== digest)
      return fail(response, 400, "DIGEST_INVALID", "provided digest did not match");
    registry.blobs.set(`${name}@${digest}`, bytes);
    response.writeHead(201, { "docker-content-digest": digest }).end();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const registry: FakeRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    manifests: new Map(),
    blobs: new Map(),
    seen: [],
    intercept: () => false,
    saysDigests: true,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return registry;
}

/** All that a request sends. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Answers with bytes, or with the range of them that was asked for. */
export function sendBytes(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  if (from === undefined) {
    response.writeHead(200, { "content-length": bytes.length });
    response.end(request.method === "HEAD" ? undefined : bytes);
    return;
  }
  const start = Number(from);
  const end = to === undefined || to === "" ? bytes.length : Math.min(bytes.length, Number(to) + 1);
  if (start >= bytes.length) {
    response.writeHead(416).end();
    return;
  }
  const part = bytes.subarray(start, end);
  response.writeHead(206, {
    "content-length": part.length,
    "content-range": `bytes ${start}-${end - 1}/${bytes.length}`,
  });
  response.end(part);
}

/** Answers with an error of the distribution specification. */
export function fail(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";

/** A request that a daemon made of the stub. */
export interface CloudRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A server that stands in for a cloud's cache service, on this machine. */
export interface CloudStub extends AsyncDisposable {
  /** With a slash at its end. */
  readonly url: string;
  readonly requests: CloudRequest[];
}

type Respond = (request: CloudRequest, response: ServerResponse) => void;

/** Starts a server that notes what it is asked and answers 403 at once: no client retries that. */
export function refusingCloud(): Promise<CloudStub> {
  return startStub((_request, response) => {
    response.writeHead(403, { "content-type": "application/json" }).end("{}");
  });
}

/** Starts a cache service of GitHub's Actions, version 1, that keeps its entries in memory. */
export async function actionsCache(): Promise<CloudStub> {
  const entries: { readonly key: string; readonly version: string; content: Buffer; done: boolean }[] = [];
  const root = "/_apis/artifactcache/";
  const stub: CloudStub = await startStub(({ method, path, query, headers, body }, response) => {
    const json = (value: unknown, status = 200): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    };
    // A reservation's id is never 0.
    const entry = entries[Number(/\d+$/.exec(path)?.[0]) - 1];
    if (method === "GET" && path === `${root}cache`) {
      const keys = (query.get("keys") ?? "").split(",");
      const index = entries.findLastIndex(
        ({ key, version, done }) =>
          done && version === query.get("version") && keys.some((wanted) => key.startsWith(wanted)),
      );
      const key = entries[index]?.key;
      if (key === undefined) response.writeHead(204).end();
      else
        json({
          cacheKey: key,
          scope: "refs/heads/main",
          archiveLocation: `${stub.url}archives/${index + 1}`,
        });
    } else if (method === "POST" && path === `${root}caches`) {
      const { key, version } = JSON.parse(String(body)) as { readonly key: string; readonly version: string };
      entries.push({ key, version, content: Buffer.alloc(0), done: false });
      json({ cacheId: entries.length });
    } else if (method === "PATCH" && entry !== undefined) {
      const offset = Number(/^bytes (\d+)-/.exec(headers["content-range"] ?? "")?.[1] ?? 0);
      const content = Buffer.alloc(Math.max(entry.content.length, offset + body.length));
      entry.content.copy(content);
      body.copy(content, offset);
      entry.content = content;
      json({});
    } else if (method === "POST" && entry !== undefined) {
      entry.done = true;
      json({});
    } else if (method === "GET" && entry !== undefined) {
      sendRange(entry.content, headers.range, response);
    } else {
      json({ message: `no ${method} ${path}` }, 404);
    }
  });
  return stub;
}

function sendRange(content: Buffer, range: string | undefined, response: ServerResponse): void {
  const match = /^bytes=(\d+)-(\d*)$/.exec(range ?? "");
  if (match === null) {
    response.writeHead(200, { "content-length": content.length }).end(content);
    return;
  }
  const from = Number(match[1]);
  const to = Math.min(match[2] === "" ? Number.POSITIVE_INFINITY : Number(match[2]), content.length - 1);
  const part = content.subarray(from, to + 1);
  response
    .writeHead(206, {
      "content-length": part.length,
      "content-range": `bytes ${from}-${to}/${content.length}`,
    })
    .end(part);
}

async function startStub(respond: Respond): Promise<CloudStub> {
  const requests: CloudRequest[] = [];
  const server = createServer((incoming, response) => {
    void readRequest(incoming).then((request) => {
      requests.push(request);
      respond(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}/`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readRequest(incoming: IncomingMessage): Promise<CloudRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = new URL(incoming.url ?? "", "http://stub");
  return {
    method: incoming.method ?? "",
    path: url.pathname,
    query: url.searchParams,
    headers: incoming.headers,
    body: Buffer.concat(chunks),
  };
}

/** A token such as a job has: the daemon reads from it which caches it may use, and does not check who signed it. */
export function actionsToken(): string {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const access = JSON.stringify([{ Scope: "refs/heads/main", Permission: 3 }]);
  return `${encode({ alg: "none", typ: "JWT" })}.${encode({ ac: access, nbf: now - 60, exp: now + 3600 })}.c2ln`;
}

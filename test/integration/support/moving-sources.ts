import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A server on this machine that can be taken away. */
export interface SourceServer {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** What was asked for, e.g. `GET /path`. */
  readonly requests: string[];
  close(): Promise<void>;
}

/** A way to a registry, under a name of its own. */
export function registryFront(registry: string): Promise<SourceServer> {
  return serveHttp(async (path, method, accept) => {
    const headers = accept === undefined ? {} : { accept };
    const answer = await fetch(`http://${registry}${path}`, { method, headers });
    const kept = [...answer.headers].filter(([key]) => !["connection", "transfer-encoding"].includes(key));
    return { status: answer.status, headers: kept, body: Buffer.from(await answer.arrayBuffer()) };
  });
}

/** A server of files that can be changed. */
export function fileServer(files: Map<string, string>): Promise<SourceServer> {
  return serveHttp((path) => {
    const text = files.get(path);
    const etag: [string, string][] =
      text === undefined ? [] : [["etag", `"${Buffer.from(text).toString("hex")}"`]];
    return Promise.resolve({
      status: text === undefined ? 404 : 200,
      headers: etag,
      body: Buffer.from(text ?? ""),
    });
  });
}

/** Why there is no git daemon; `undefined` if there is one. */
export function noGit(): string | undefined {
  const { error } = spawnSync("git", ["daemon", "-h"]);
  const listed = error === undefined && execFileSync("git", ["help", "-a"], { encoding: "utf8" });
  return listed !== false && / daemon /.test(listed) ? undefined : (error?.message ?? "git has no daemon");
}

/** A directory of repositories behind `git://`. */
export async function gitServer(dir: string): Promise<SourceServer> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    requests.push("connection");
    const args = ["daemon", "--inetd", `--base-path=${dir}`, "--export-all", dir];
    const child = spawn("git", args, { stdio: ["pipe", "pipe", "ignore"] });
    socket.pipe(child.stdin).on("error", () => {});
    child.stdout.pipe(socket).on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  const host = await listen(server);
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { host, requests, close };
}

/** A repository in a directory that a {@link gitServer} serves. */
export class Repository {
  readonly #dir: string;

  constructor(served: string, name: string) {
    this.#dir = join(served, name);
    mkdirSync(this.#dir, { recursive: true });
    this.git("init", "-q", "-b", "main");
  }

  /** Commits a file; returns the commit's id. */
  commit(path: string, text: string): string {
    return this.commitFiles({ [path]: text }, text);
  }

  /** Commits files by path; returns the commit's id. */
  commitFiles(files: Readonly<Record<string, string>>, message: string): string {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(this.#dir, path, ".."), { recursive: true });
      writeFileSync(join(this.#dir, path), text);
    }
    this.git("add", ".");
    this.git("commit", "-qm", message);
    return this.git("rev-parse", "HEAD");
  }

  /** Runs git in the repository. */
  git(...args: readonly string[]): string {
    const who = { NAME: "kiln", EMAIL: "kiln@example.com", DATE: "2024-01-01T00:00:00Z" };
    const env = Object.fromEntries(
      ["AUTHOR", "COMMITTER"].flatMap((role) =>
        Object.entries(who).map(([key, value]) => [`GIT_${role}_${key}`, value]),
      ),
    );
    const options = { cwd: this.#dir, encoding: "utf8", env: { ...process.env, ...env } } as const;
    return execFileSync("git", args, options).trim();
  }
}

/** A new directory for repositories. */
export function newRepositories(): string {
  return mkdtempSync(join(tmpdir(), "kiln-repositories-"));
}

interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

async function serveHttp(
  answer: (path: string, method: string, accept: string | undefined) => Promise<Answer>,
): Promise<SourceServer> {
  const requests: string[] = [];
  const server: HttpServer = createHttpServer((request, response) => {
    const { url = "/", method = "GET" } = request;
    requests.push(`${method} ${url}`);
    answer(url, method, request.headers.accept).then(
      ({ status, headers, body }) => {
        response.statusCode = status;
        for (const [key, value] of headers) response.setHeader(key, value);
        response.end(method === "HEAD" ? undefined : body);
      },
      (error: unknown) => response.destroy(error instanceof Error ? error : undefined),
    );
  });
  const host = await listen(server);
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { host, requests, close };
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

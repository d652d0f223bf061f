import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";

/** A git server over HTTP that wants a user and a password. */
export interface PrivateGitServer {
  /** Address that steps reach it by: `http://ADDRESS:PORT`. */
  readonly url: string;
  /** `user:password` of every request that was let in. */
  readonly admitted: Set<string>;
  close(): Promise<void>;
}

/** Serves the repositories in a directory to those who say `user:password`. */
export async function privateGitServer(dir: string, credentials: string): Promise<PrivateGitServer> {
  const admitted = new Set<string>();
  const server = createServer((request, response) => {
    const [scheme, value = ""] = (request.headers.authorization ?? "").split(" ");
    const said = scheme === "Basic" ? Buffer.from(value, "base64").toString() : "";
    if (said === credentials) {
      admitted.add(said);
      runGit(dir, request, response);
      return;
    }
    request.resume();
    response.writeHead(401, { "www-authenticate": 'Basic realm="repositories"' }).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "0.0.0.0", resolve);
  });
  return {
    url: `http://${outerAddress()}:${(server.address() as AddressInfo).port}`,
    admitted,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** An address of this machine that a step can reach: not the loopback, which is the step's own. */
function outerAddress(): string {
  const found = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === "IPv4" && !address.internal);
  if (found === undefined) throw new Error("this machine has no address but the loopback");
  return found.address;
}

function runGit(dir: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://git");
  const child = spawn("git", ["http-backend"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: {
      ...process.env,
      GIT_PROJECT_ROOT: dir,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? "GET",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
    },
  });
  request.pipe(child.stdin).on("error", () => {});
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.on("close", () => {
    const whole = Buffer.concat(chunks);
    const end = whole.indexOf("\r\n\r\n");
    let status = 200;
    for (const line of whole.subarray(0, end).toString("latin1").split("\r\n")) {
      const [name = "", value = ""] = line.split(/:\s*/, 2);
      if (name.toLowerCase() === "status") status = Number(value.slice(0, 3));
      else response.setHeader(name, value);
    }
    response.writeHead(status).end(whole.subarray(end + 4));
  });
}

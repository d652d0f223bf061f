import { existsSync, readFileSync } from "node:fs";
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import type { CertificateFiles } from "./certificates.js";

/** How a server that steps ask is to be reached. */
export interface StepServerOptions {
  /** Serve TLS with this certificate, which must be for {@link hostFromSteps}. Default plain HTTP. */
  readonly tls?: CertificateFiles | undefined;
  /** Whom it lets in: HTTP's basic name and password, or the password as a bearer token. Default everybody. */
  readonly credentials?: { readonly username: string; readonly password: string } | undefined;
}

/** A server in the test's process that build steps reach, as this process does, by the same URL. */
export interface StepServer {
  /** `http://ADDRESS:PORT`, without a slash at the end. */
  readonly url: string;
  /** The address alone: what pip's `--trusted-host` takes for plain HTTP. */
  readonly host: string;
  /** What was asked for and let in, e.g. `GET /path`. */
  readonly requests: string[];
  /** What was turned away for its credentials. */
  readonly refused: string[];
  close(): Promise<void>;
}

/**
 * An IPv4 address of this machine that steps on Docker's default bridge reach, always the same: the bridge's own, else
 * one of the machine's network.
 */
export function hostFromSteps(): string {
  const external = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === "IPv4" && !one.internal)?.address;
  const address = bridgeAddress() ?? external;
  if (address === undefined) throw new Error("this machine has no address that build steps reach");
  return address;
}

/** The address of Docker's bridge. Node lists interfaces only while something is connected to them. */
function bridgeAddress(): string | undefined {
  const read = (path: string): string => (existsSync(path) ? readFileSync(path, "utf8") : "");
  const route = read("/proc/net/route")
    .split("\n")
    .map((line) => line.split("\t"))
    .find(([name]) => name === "docker0");
  if (route === undefined) return undefined;
  const [network = 0, mask = 0] = [route[1] ?? "", route[7] ?? ""].map((hex) => {
    return hex.length === 8 ? Buffer.from(hex, "hex").readInt32LE() : 0;
  });
  const local = [...read("/proc/net/fib_trie").matchAll(/\|-- ([\d.]+)\n *\/32 host LOCAL/g)];
  return local
    .map(([, address = ""]) => address)
    .find((address) => (Buffer.from(address.split(".").map(Number)).readInt32BE() & mask) === network);
}

/** Serves build steps. An `answer` that throws is status 500. */
export async function serveSteps(
  options: StepServerOptions,
  answer: (request: IncomingMessage, response: ServerResponse, url: string) => void | Promise<void>,
): Promise<StepServer> {
  const { tls, credentials } = options;
  const host = hostFromSteps();
  const requests: string[] = [];
  const refused: string[] = [];
  let url = "";
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const asked = `${request.method ?? "GET"} ${request.url ?? "/"}`;
    if (credentials !== undefined && !isKnown(request.headers.authorization, credentials)) {
      refused.push(asked);
      response.writeHead(401, { "www-authenticate": 'Basic realm="kiln"' }).end();
      return;
    }
    requests.push(asked);
    Promise.resolve()
      .then(() => answer(request, response, url))
      .catch((error: unknown) => {
        if (!response.headersSent) response.writeHead(500);
        response.end(String(error));
      });
  };
  const server =
    tls === undefined
      ? createHttp(listener)
      : createHttps({ cert: readFileSync(tls.cert), key: readFileSync(tls.key) }, listener);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, resolve);
  });
  url = `${tls === undefined ? "http" : "https"}://${host}:${(server.address() as AddressInfo).port}`;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url, host, requests, refused, close };
}

/** A URL with a name and a password in it. */
export function withCredentials(url: string, username: string, password: string): string {
  const parsed = new URL(url);
  parsed.username = username;
  parsed.password = password;
  return parsed.href;
}

/** Answers with a body, or without it where only the head was asked for. */
export function reply(
  request: IncomingMessage,
  response: ServerResponse,
  type: string,
  body: string | Buffer,
): void {
  const bytes = Buffer.from(body);
  response.writeHead(200, { "content-type": type, "content-length": bytes.length });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

function isKnown(
  authorization: string | undefined,
  { username, password }: { readonly username: string; readonly password: string },
): boolean {
  const [scheme = "", value = ""] = (authorization ?? "").split(" ");
  if (scheme.toLowerCase() === "bearer") return value === password;
  return (
    scheme.toLowerCase() === "basic" && Buffer.from(value, "base64").toString() === `${username}:${password}`
  );
}

import { request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import { KilnError } from "../errors.js";
import { type Address, formatAddress } from "./address.js";
import type { TlsMaterial } from "./tls-options.js";

const answerLimit = 1024 * 1024;
const timeoutMs = 10_000;

/** Where a Docker Engine's HTTP API is reached. A `Connection` is one. */
export interface DockerEndpoint {
  readonly address: Address;
  readonly tls: TlsMaterial | undefined;
  /** The unix socket, if it is one. */
  readonly socketPath: string | undefined;
}

/** What Docker's `/version` says that Kiln uses. */
export interface DockerVersion {
  /** E.g. `28.5.2+dfsg4`. */
  readonly version: string;
  /** The Go release the daemon was built with, e.g. `go1.24.4`. */
  readonly goVersion: string | undefined;
  readonly apiVersion: string | undefined;
}

/**
 * Asks a Docker Engine for its version over its HTTP API.
 *
 * Rejects with
 * `ERR_KILN_CONNECT_FAILED`, `ERR_KILN_PROTOCOL` for an answer that is none, or the signal's reason.
 */
export async function dockerVersion(
  endpoint: DockerEndpoint,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DockerVersion> {
  const address = formatAddress(endpoint.address);
  const { json } = await get(endpoint, "/version", { statuses: [200], signal: options.signal });
  const text = (key: string): string | undefined => textIn(json, key);
  const version = text("Version");
  if (version === undefined) {
    throw new KilnError("ERR_KILN_PROTOCOL", `${address} is no Docker Engine: /version names no version`);
  }
  return { version, goVersion: text("GoVersion"), apiVersion: text("ApiVersion") };
}

/** An image in Docker's store. */
export interface DockerStoredImage {
  /** In the containerd store the digest of its manifest or index, in the classic one that of its config. */
  readonly id: string;
  /** Its names, as Docker shows them: `app:1`, `localhost:5000/app:1`. */
  readonly tags: readonly string[];
}

/**
 * The image of a name in a Docker Engine's store; `undefined` if there is none.
 *
 * Rejects with `ERR_KILN_CONNECT_FAILED`, `ERR_KILN_PROTOCOL` for an answer that is none, or the signal's reason.
 */
export async function dockerStoredImage(
  endpoint: DockerEndpoint,
  name: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DockerStoredImage | undefined> {
  const path = `/images/${encodeURIComponent(name)}/json`;
  const { status, json } = await get(endpoint, path, { statuses: [200, 404], signal: options.signal });
  if (status === 404) return undefined;
  const id = textIn(json, "Id");
  if (id === undefined) {
    throw new KilnError(
      "ERR_KILN_PROTOCOL",
      `${formatAddress(endpoint.address)} is no Docker Engine: ${path} names no id`,
    );
  }
  const tags: unknown = Reflect.get(json, "RepoTags");
  return { id, tags: Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string") : [] };
}

function textIn(json: object, key: string): string | undefined {
  const value: unknown = Reflect.get(json, key);
  return typeof value === "string" ? value : undefined;
}

interface Asked {
  /** Those that are answers. */
  readonly statuses: readonly number[];
  readonly signal: AbortSignal | undefined;
}

interface Answer {
  readonly status: number;
  readonly json: object;
}

async function get(endpoint: DockerEndpoint, path: string, asked: Asked): Promise<Answer> {
  const { status, text } = await getText(endpoint, path, asked);
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === "object" && json !== null) return { status, json };
  } catch {
    // Said below.
  }
  const address = formatAddress(endpoint.address);
  throw new KilnError("ERR_KILN_PROTOCOL", `${address} is no Docker Engine: ${path} is not JSON`);
}

function getText(
  { address, tls, socketPath }: DockerEndpoint,
  path: string,
  { statuses, signal }: Asked,
): Promise<{ readonly status: number; readonly text: string }> {
  const options: RequestOptions = {
    path,
    headers: { host: "docker" },
    timeout: timeoutMs,
    ...("host" in address && socketPath === undefined
      ? { host: address.host, port: address.port }
      : { socketPath }),
    ...(tls === undefined
      ? {}
      : {
          ca: tls.ca,
          cert: tls.cert,
          key: tls.key,
          rejectUnauthorized: !tls.skipVerify,
          // Node would take the name from the Host header otherwise.
          ...serverName(tls.serverName ?? ("host" in address ? address.host : "")),
        }),
  };
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      request.destroy();
      reject(signal?.reason);
    };
    const fail = (error: Error): void => {
      signal?.removeEventListener("abort", onAbort);
      reject(
        new KilnError(
          "ERR_KILN_CONNECT_FAILED",
          `cannot ask ${formatAddress(address)} for ${path}: ${error.message}`,
          {
            cause: error,
            hint: "Check that a Docker Engine listens there.",
          },
        ),
      );
    };
    const request = (tls === undefined ? httpRequest : httpsRequest)(options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > answerLimit) request.destroy(new Error("the answer is too long"));
        else chunks.push(chunk);
      });
      response.on("error", fail);
      response.on("end", () => {
        signal?.removeEventListener("abort", onAbort);
        const { statusCode: status = 0 } = response;
        if (statuses.includes(status)) resolve({ status, text: Buffer.concat(chunks).toString("utf8") });
        else fail(new Error(`status ${status}`));
      });
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    request.on("error", fail);
    request.end();
  });
}

// An IP address is no name to ask for.
function serverName(name: string): { readonly servername?: string } {
  return name === "" || isIP(name) !== 0 ? { servername: "" } : { servername: name };
}

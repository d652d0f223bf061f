import { request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import { KilnError } from "../errors.js";
import { formatAddress } from "./address.js";
import type { Connection } from "./connection.js";

const answerLimit = 1024 * 1024;
const timeoutMs = 10_000;

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
 * The connection must be a `docker://` one; only its address and certificates are used. Rejects with
 * `ERR_KILN_CONNECT_FAILED`, `ERR_KILN_PROTOCOL` for an answer that is none, or the signal's reason.
 */
export async function dockerVersion(
  connection: Connection,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<DockerVersion> {
  const address = formatAddress(connection.address);
  const body = await get(connection, "/version", options.signal);
  let json: Readonly<Record<string, unknown>>;
  try {
    json = JSON.parse(body) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new KilnError("ERR_KILN_PROTOCOL", `${address} is no Docker Engine: /version is not JSON`, {
      cause: error,
    });
  }
  const text = (key: string): string | undefined => {
    const value = json[key];
    return typeof value === "string" ? value : undefined;
  };
  const version = text("Version");
  if (version === undefined) {
    throw new KilnError("ERR_KILN_PROTOCOL", `${address} is no Docker Engine: /version names no version`);
  }
  return { version, goVersion: text("GoVersion"), apiVersion: text("ApiVersion") };
}

function get(connection: Connection, path: string, signal: AbortSignal | undefined): Promise<string> {
  const { address, tls, socketPath } = connection;
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
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString("utf8"));
        else fail(new Error(`status ${response.statusCode}`));
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

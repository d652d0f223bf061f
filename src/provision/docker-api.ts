import { request } from "node:http";

/** What a Docker answers to `GET /version`. */
export interface DockerVersionAnswer {
  readonly Version: string;
  readonly GoVersion: string;
}

const timeoutMs = 2_000;

/** Asks a Docker socket for its version; `undefined` when nothing answers there. */
export function askVersion(socketPath: string): Promise<DockerVersionAnswer | undefined> {
  return new Promise((resolve) => {
    const call = request(
      { socketPath, path: "/version", headers: { host: "docker" }, timeout: timeoutMs },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", () => resolve(undefined));
        answer.on("end", () => {
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString("utf8")) as DockerVersionAnswer);
          } catch {
            resolve(undefined);
          }
        });
      },
    );
    call.on("timeout", () => call.destroy());
    call.on("error", () => resolve(undefined));
    call.end();
  });
}

import { request } from "node:http";

/** What Docker's API says of an image in its store, and of its files by running nothing: its config and layers. */
export interface DockerImage {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly Config: {
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[] | null;
    readonly Labels: Readonly<Record<string, string>> | null;
  };
  readonly RootFS: { readonly Layers: readonly string[] };
}

/** Asks the Docker at a `docker:///socket` address for an image; `undefined` if it has none of that name. */
export function inspectDockerImage(address: string, name: string): Promise<DockerImage | undefined> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath: address.replace("docker://", ""),
        path: `/images/${encodeURIComponent(name)}/json`,
        headers: { host: "docker" },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          if (response.statusCode === 404) resolve(undefined);
          else if (response.statusCode === 200) resolve(JSON.parse(text) as DockerImage);
          else reject(new Error(`Docker answered ${response.statusCode}: ${text}`));
        });
      },
    );
    call.once("error", reject);
    call.end();
  });
}

/** Removes an image from the Docker at a `docker:///socket` address. */
export function removeDockerImage(address: string, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        method: "DELETE",
        socketPath: address.replace("docker://", ""),
        path: `/images/${encodeURIComponent(name)}`,
        headers: { host: "docker" },
      },
      (response) => {
        response.resume();
        response.on("end", () => {
          if (response.statusCode === 200) resolve();
          else reject(new Error(`Docker answered ${response.statusCode} to the removal of ${name}`));
        });
      },
    );
    call.once("error", reject);
    call.end();
  });
}

import { resolve } from "node:path";
import type { Output } from "../../solver/outputs.js";
import type { SolveSettings } from "../../solver/solve-settings.js";

/** The settings with every path of this machine in them made absolute from `cwd`. */
export function resolvePaths(settings: SolveSettings, cwd: string): SolveSettings {
  const { outputs, chooseOutputs, cacheExports, cacheImports, secrets, ssh, sourceLock } = settings;
  const at = (output: Output): Output => outputAt(output, cwd);
  return {
    ...settings,
    outputs: outputs?.map(at),
    chooseOutputs:
      chooseOutputs === undefined ? undefined : async (result) => (await chooseOutputs(result)).map(at),
    cacheExports: cacheExports?.map((cache) => cacheAt(cache, cwd)),
    cacheImports: cacheImports?.map((cache) => cacheAt(cache, cwd)),
    secrets: mapValues(secrets, (source) =>
      typeof source === "object" && "file" in source ? { file: resolve(cwd, source.file) } : source,
    ),
    sourceLock: typeof sourceLock === "string" ? resolve(cwd, sourceLock) : sourceLock,
    ssh: mapValues(ssh, (source) => {
      if ("socket" in source) return { socket: resolve(cwd, source.socket) };
      if ("keys" in source) return { keys: source.keys.map((key) => resolve(cwd, key)) };
      return source.agent === true ? source : { agent: resolve(cwd, source.agent) };
    }),
  };
}

function outputAt(output: Output, cwd: string): Output {
  if (output.type === "oci-layout" || output.type === "local")
    return { ...output, dir: resolve(cwd, output.dir) };
  if (output.type === "registry" || output.type === "docker-image" || typeof output.target !== "string")
    return output;
  return { ...output, target: resolve(cwd, output.target) };
}

function cacheAt<T extends { readonly type: string }>(cache: T, cwd: string): T {
  return "dir" in cache && typeof cache.dir === "string" ? { ...cache, dir: resolve(cwd, cache.dir) } : cache;
}

function mapValues<T>(
  record: Readonly<Record<string, T>> | undefined,
  change: (value: T) => T,
): Readonly<Record<string, T>> | undefined {
  if (record === undefined) return undefined;
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

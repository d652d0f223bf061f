import { checkOptions } from "../../internal/check-options.js";
import {
  checkBigInteger,
  checkChoice,
  checkFlag,
  checkInteger,
  checkName,
  checkRecord,
  checkText,
  checkTexts,
  wrongArgument,
} from "../../llb/check-argument.js";
import { Definition } from "../../llb/definition.js";
import { canonicalIp } from "../../llb/ip-address.js";
import { formatPlatform, type Platform, parsePlatform } from "../../oci/platform.js";

/** Options of BuildKit's Dockerfile frontend. What is left out is the frontend's default. */
export interface DockerfileOptions {
  /**
   * Where the build context is, if it is not a local tree or an input named `context`: the URL of a git repository
   * (`https://host/repo.git#branch:dir`) or of a file or tar.
   */
  readonly context?: string | undefined;
  /** Directory within a context that is a URL or an input. */
  readonly contextSubdir?: string | undefined;
  /** Name of the local tree with the Dockerfile. Default `dockerfile`, or a context that is a URL or an input itself. */
  readonly dockerfileName?: string | undefined;
  /** Path of the Dockerfile in its tree. Default `Dockerfile`. */
  readonly filename?: string | undefined;
  /** The stage to build. Default the last. */
  readonly target?: string | undefined;
  /** Values of `ARG`s. BuildKit's own (`BUILDKIT_…`, proxies, `SOURCE_DATE_EPOCH`) are among them. */
  readonly buildArgs?: Readonly<Record<string, string>> | undefined;
  /** Labels of the image, over those of the Dockerfile. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Platforms to build for, e.g. `linux/arm64`; several make an image index. Default the daemon's. */
  readonly platforms?: readonly (string | Platform)[] | undefined;
  /** Makes an image index of a single platform too. Default: only of several. */
  readonly multiPlatform?: boolean | undefined;
  /** Runs again what is cached: of all stages, or of those named. */
  readonly noCache?: boolean | readonly string[] | undefined;
  /** Lines of `/etc/hosts` in `RUN`: IP addresses by host name. */
  readonly addHosts?: Readonly<Record<string, string>> | undefined;
  /** Network of all `RUN`s. `host` needs the entitlement `network.host`. */
  readonly networkMode?: "sandbox" | "host" | "none" | undefined;
  /** Limits in `RUN`s by name, e.g. `{ nofile: { soft: 1024, hard: 4096 } }`; a number is both. -1 = no limit. */
  readonly ulimits?:
    | Readonly<Record<string, number | { readonly soft: number; readonly hard: number }>>
    | undefined;
  /** Bytes of `/dev/shm` in `RUN`s. */
  readonly shmSize?: number | bigint | undefined;
  /** Parent of the cgroups of `RUN`s. */
  readonly cgroupParent?: string | undefined;
  /** Host name in `RUN`s. */
  readonly hostname?: string | undefined;
  /** Bytes of memory that a `RUN` may use. Needs BuildKit 0.31, as all limits below. */
  readonly memory?: number | bigint | undefined;
  /** Bytes of memory and swap together; -1 = no limit. */
  readonly memorySwap?: number | bigint | undefined;
  readonly cpuShares?: number | undefined;
  /** Microseconds. */
  readonly cpuPeriod?: number | undefined;
  /** Microseconds of each period. */
  readonly cpuQuota?: number | undefined;
  /** E.g. `0-3,8`. */
  readonly cpusetCpus?: string | undefined;
  readonly cpusetMems?: string | undefined;
  /** How bases are found: `pull` asks the registry though the daemon has the image, `local` never does. */
  readonly imageResolveMode?: "default" | "pull" | "local" | undefined;
  /**
   * What stands for images, stages and contexts of a name in `FROM`, `COPY --from` and `RUN --mount=from`:
   * `docker-image://REF`, `oci-layout://STORE@DIGEST` (a store of `layouts`), `local:NAME` (a tree of `trees`),
   * `input:NAME` (one of `frontendInputs`), a URL, or a definition.
   */
  readonly contexts?: Readonly<Record<string, string | Definition>> | undefined;
}

/** Limits of resources: BuildKit's option and the least number that it takes. */
const resources = {
  memory: ["memory", 1],
  memorySwap: ["memswap", -1],
  cpuShares: ["cpushares", 1],
  cpuPeriod: ["cpuperiod", 1],
  cpuQuota: ["cpuquota", 1],
  cpusetCpus: ["cpusetcpus", undefined],
  cpusetMems: ["cpusetmems", undefined],
} as const satisfies Partial<
  Record<keyof DockerfileOptions, readonly [attr: string, least: number | undefined]>
>;

/** First BuildKit version of the Dockerfile frontend's options that not every supported daemon's has. */
export const dockerfileOptionVersions: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(resources).map(([attr]) => [attr, "0.31"]),
);

const names = {
  contextSubdir: "contextsubdir",
  dockerfileName: "dockerfilekey",
  filename: "filename",
  target: "target",
  cgroupParent: "cgroup-parent",
  hostname: "hostname",
} as const satisfies Partial<Record<keyof DockerfileOptions, string>>;

const keys: readonly string[] = [
  ...Object.keys(names),
  ...Object.keys(resources),
  ...["context", "buildArgs", "labels", "platforms", "multiPlatform", "noCache", "addHosts", "networkMode"],
  ...["ulimits", "shmSize", "imageResolveMode", "contexts"],
];

const contextForms =
  /^(?:docker-image:\/\/.|oci-layout:\/\/[^@]+@sha256:|local:.|input:.|https?:\/\/.|git:\/\/.|git@.|ssh:\/\/.)/;

/**
 * The options as `dockerfile.v0` takes them, for `gateway.solve` and for frontends in images
 * (`{ source: "docker/dockerfile:1", ...dockerfileOptions({ … }) }`). Definitions among `contexts` are left out:
 * pass those as inputs, with `input:NAME` here.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT`, `ERR_KILN_INVALID_PLATFORM` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function dockerfileOptions(options: DockerfileOptions): Record<string, string> {
  const call = "dockerfileOptions()";
  for (const [name, value] of Object.entries(options.contexts ?? {})) {
    if (!(value instanceof Definition)) continue;
    throw wrongArgument(
      call,
      `contexts.${name} is a definition, which no option can hold`,
      `Pass it in frontendInputs, and "input:NAME" here.`,
    );
  }
  return dockerfileRequest(call, options).attrs;
}

/** The options as `dockerfile.v0` takes them, and the definitions among them as its inputs. Throws as above. */
export function dockerfileRequest(
  call: string,
  options: DockerfileOptions,
): { readonly attrs: Record<string, string>; readonly inputs: Record<string, Definition> } {
  checkOptions(`${call} frontendOptions`, options, keys);
  const attrs: Record<string, string> = {};
  const inputs: Record<string, Definition> = {};
  const { context, networkMode, noCache, platforms, shmSize, imageResolveMode } = options;
  if (context !== undefined) attrs["context"] = contextUrl(call, context);
  for (const [key, attr] of Object.entries(names)) {
    const value = options[key as keyof typeof names];
    if (value !== undefined) attrs[attr] = checkName(call, key, value);
  }
  for (const [name, value] of checkRecord(call, "buildArgs", options.buildArgs ?? {})) {
    attrs[`build-arg:${keyOf(call, "buildArgs", name)}`] = value;
  }
  for (const [name, value] of checkRecord(call, "labels", options.labels ?? {})) {
    attrs[`label:${keyOf(call, "labels", name)}`] = value;
  }
  if (platforms !== undefined) attrs["platform"] = platformList(call, platforms);
  if (options.multiPlatform !== undefined) {
    attrs["multi-platform"] = String(checkFlag(call, "multiPlatform", options.multiPlatform));
  }
  if (noCache !== undefined && noCache !== false) attrs["no-cache"] = noCacheText(call, noCache);
  const hosts = checkRecord(call, "addHosts", options.addHosts ?? {});
  if (hosts.length > 0) attrs["add-hosts"] = hosts.map((host) => hostField(call, host)).join(",");
  if (networkMode !== undefined) {
    attrs["force-network-mode"] = checkChoice(call, "networkMode", networkMode, ["sandbox", "host", "none"]);
  }
  const ulimits = Object.entries(options.ulimits ?? {});
  if (ulimits.length > 0) attrs["ulimit"] = ulimits.map((limit) => ulimitField(call, limit)).join(",");
  if (shmSize !== undefined) attrs["shm-size"] = amount(call, "shmSize", shmSize, 1);
  for (const [key, [attr, least]] of Object.entries(resources)) {
    const value = options[key as keyof typeof resources];
    if (value === undefined) continue;
    attrs[attr] = least === undefined ? checkName(call, key, value) : amount(call, key, value, least);
  }
  if (imageResolveMode !== undefined) {
    const modes = ["default", "pull", "local"] as const;
    attrs["image-resolve-mode"] = checkChoice(call, "imageResolveMode", imageResolveMode, modes);
  }
  for (const [name, value] of Object.entries(options.contexts ?? {})) {
    const key = keyOf(call, "contexts", name);
    if (value instanceof Definition) {
      const input = `kiln-context-${Object.keys(inputs).length}`;
      inputs[input] = value;
      attrs[`context:${key}`] = `input:${input}`;
    } else attrs[`context:${key}`] = contextForm(call, name, value);
  }
  return { attrs, inputs };
}

function contextUrl(call: string, value: string): string {
  const text = checkName(call, "context", value);
  if (/^(?:https?:\/\/|git:\/\/|ssh:\/\/|git@)/.test(text)) return text;
  throw wrongArgument(
    call,
    `context ${JSON.stringify(text)} is no URL`,
    'A directory is a local tree: pass { trees: new Map([["context", openLocalTree(dir)]]) } to the solve.',
  );
}

function contextForm(call: string, name: string, value: unknown): string {
  const text = checkName(call, `contexts.${name}`, value);
  if (contextForms.test(text)) return text;
  throw wrongArgument(
    call,
    `contexts.${name} is no context: ${JSON.stringify(text)}`,
    "Write docker-image://REF, oci-layout://STORE@DIGEST, local:NAME, input:NAME or a URL, or pass a Definition.",
  );
}

function keyOf(call: string, option: string, key: string): string {
  if (key !== "" && !key.includes("=")) return key;
  throw wrongArgument(
    call,
    `${option} has the key ${JSON.stringify(key)}`,
    "Use a name without an equals sign.",
  );
}

function platformList(call: string, platforms: readonly (string | Platform)[]): string {
  if (!Array.isArray(platforms) || platforms.length === 0) {
    throw wrongArgument(call, "platforms names none", 'Write it like ["linux/amd64", "linux/arm64"].');
  }
  return platforms
    .map((platform: string | Platform) =>
      formatPlatform(typeof platform === "string" ? parsePlatform(platform) : platform),
    )
    .join(",");
}

function noCacheText(call: string, noCache: true | readonly string[]): string {
  // The empty text stands for all stages.
  if (noCache === true) return "";
  const stages = checkTexts(call, "noCache", noCache);
  if (stages.length > 0 && stages.every((stage) => stage !== "" && !stage.includes(","))) {
    return stages.join(",");
  }
  throw wrongArgument(call, "noCache names no stage", "Pass true for all, or the names of stages.");
}

function hostField(call: string, [host, address]: readonly [string, string]): string {
  if (host === "" || /[=,"\s]/.test(host)) {
    throw wrongArgument(call, `addHosts has the key ${JSON.stringify(host)}`, "Use a host name.");
  }
  const ip = canonicalIp(address);
  if (ip !== undefined) return `${host}=${ip}`;
  throw wrongArgument(call, `addHosts.${host} is no IP address`, "Write it like 10.0.0.1 or ::1.");
}

function ulimitField(
  call: string,
  [name, limit]: readonly [string, number | { readonly soft: number; readonly hard: number }],
): string {
  if (!/^[a-z]+$/.test(name)) {
    throw wrongArgument(call, `ulimits has the key ${JSON.stringify(name)}`, "Use a name such as nofile.");
  }
  const { soft, hard } = typeof limit === "number" ? { soft: limit, hard: limit } : limit;
  const least = -1;
  const most = Number.MAX_SAFE_INTEGER;
  checkInteger(call, `ulimits.${name}.soft`, soft, least, most);
  checkInteger(call, `ulimits.${name}.hard`, hard, least, most);
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw wrongArgument(call, `ulimits.${name} has a soft limit above the hard one`, "Raise the hard one.");
  }
  return `${name}=${soft}:${hard}`;
}

function amount(call: string, name: string, value: unknown, least: number): string {
  if (value === 0 || value === 0n) throw wrongArgument(call, `${name} is 0`, `Correct ${name}.`);
  const bounds = { min: BigInt(least), max: 2n ** 63n - 1n };
  return checkText(call, name, String(checkBigInteger(call, name, value, bounds)));
}

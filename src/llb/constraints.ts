import { KilnError } from "../errors.js";
import { checkOptions } from "../internal/check-options.js";
import { type Platform, parsePlatform } from "../oci/platform.js";
import {
  checkBigInteger,
  checkFlag,
  checkName,
  checkRecord,
  checkText,
  checkTexts,
  wrongArgument,
} from "./check-argument.js";
import type { Int64 } from "./op-fields.js";
import { checkLocations, type SourceLocation } from "./source-map.js";

/** Limits of memory and CPU for one command. They are not part of its cache key. Needs BuildKit 0.31. */
export interface LinuxResources {
  /** Bytes. */
  readonly memory?: Int64 | undefined;
  /** Bytes of memory and swap together; -1 = no limit. */
  readonly memorySwap?: Int64 | undefined;
  /** Relative weight. */
  readonly cpuShares?: Int64 | undefined;
  /** Microseconds. */
  readonly cpuPeriod?: Int64 | undefined;
  /** Microseconds; -1 = no limit. */
  readonly cpuQuota?: Int64 | undefined;
  /** CPUs, e.g. `0-3`. */
  readonly cpusetCpus?: string | undefined;
  /** Memory nodes, e.g. `0,1`. */
  readonly cpusetMems?: string | undefined;
}

/** Ops that share an id are shown as one group. */
export interface ProgressGroup {
  readonly id: string;
  readonly name: string;
  /** A weak group disappears where it has a single member. */
  readonly weak?: boolean | undefined;
}

/** What every op can be told; on `marshal` the same for all ops of the graph. */
export interface ConstraintOptions {
  /**
   * The platform of the op. A string is normalised; an object is sent as it is, as Go's client does.
   * Default: the state's, then that of `marshal`.
   */
  readonly platform?: Platform | string | undefined;
  /** Run the op even if the daemon has its result. On an exec this also empties its cache mounts. */
  readonly ignoreCache?: boolean | undefined;
  /** The op's name in progress and history. */
  readonly customName?: string | undefined;
  /** Texts that the daemon keeps with the op. `llb.customname` is the name; `customName` wins over it. */
  readonly description?: Readonly<Record<string, string>> | undefined;
  /** Whether the result goes into an exported cache; left out, the build decides. */
  readonly exportCache?: boolean | undefined;
  readonly progressGroup?: ProgressGroup | undefined;
  readonly linuxResources?: LinuxResources | undefined;
  /** Tells uploads of the same local directory in different builds apart, where no session id is set. */
  readonly localUniqueId?: string | undefined;
  /** Ids of further capabilities without which the daemon must refuse the op. */
  readonly caps?: readonly string[] | undefined;
  /** Filters on workers. They are part of the op; today's daemons ignore them. */
  readonly require?: readonly string[] | undefined;
  /** Where the op was written. */
  readonly location?: SourceLocation | readonly SourceLocation[] | undefined;
}

/** Checked constraints of one op or of a whole graph. */
export interface Constraints {
  readonly platform: Platform | undefined;
  readonly filters: readonly string[];
  readonly ignoreCache: boolean;
  readonly description: Readonly<Record<string, string>> | undefined;
  readonly exportCache: boolean | undefined;
  readonly progressGroup: ProgressGroup | undefined;
  readonly linuxResources: LinuxResources | undefined;
  readonly localUniqueId: string | undefined;
  readonly caps: readonly string[];
  readonly locations: readonly SourceLocation[];
}

/** The keys of {@link ConstraintOptions}, for the checks of calls that take more. */
export const constraintKeys: readonly string[] = [
  "platform",
  "ignoreCache",
  "customName",
  "description",
  "exportCache",
  "progressGroup",
  "linuxResources",
  "localUniqueId",
  "caps",
  "require",
  "location",
];

const none: readonly never[] = Object.freeze([]);

/** Constraints of an op that was told nothing. */
export const noConstraints: Constraints = Object.freeze({
  platform: undefined,
  filters: none,
  ignoreCache: false,
  description: undefined,
  exportCache: undefined,
  progressGroup: undefined,
  linuxResources: undefined,
  localUniqueId: undefined,
  caps: none,
  locations: none,
});

/** Checks the constraint part of a call's options. Throws `ERR_KILN_INVALID_ARGUMENT` or `ERR_KILN_INVALID_PLATFORM`. */
export function resolveConstraints(call: string, options: ConstraintOptions | undefined): Constraints {
  if (options === undefined || !saysAnything(options)) return noConstraints;
  return Object.freeze({
    platform: options.platform === undefined ? undefined : resolvePlatform(call, options.platform),
    filters: options.require === undefined ? none : checkTexts(call, "require", options.require),
    ignoreCache: checkFlag(call, "ignoreCache", options.ignoreCache),
    description: resolveDescription(call, options),
    exportCache:
      options.exportCache === undefined ? undefined : checkFlag(call, "exportCache", options.exportCache),
    progressGroup:
      options.progressGroup === undefined ? undefined : resolveGroup(call, options.progressGroup),
    linuxResources:
      options.linuxResources === undefined ? undefined : resolveResources(call, options.linuxResources),
    localUniqueId:
      options.localUniqueId === undefined
        ? undefined
        : checkText(call, "localUniqueId", options.localUniqueId),
    caps: options.caps === undefined ? none : checkTexts(call, "caps", options.caps),
    locations: options.location === undefined ? none : checkLocations(call, options.location),
  });
}

/** Whether any constraint is among the options; most ops have none. */
function saysAnything(options: ConstraintOptions): boolean {
  for (const key of Object.keys(options)) if (constraintKeys.includes(key)) return true;
  return false;
}

/** A platform given as text (then normalised) or as an object (then as it is). Throws `ERR_KILN_INVALID_PLATFORM`. */
export function resolvePlatform(call: string, platform: Platform | string): Platform {
  if (typeof platform === "string") return parseText(call, platform);
  checkOptions(`${call} platform`, platform, ["os", "architecture", "variant", "osVersion", "osFeatures"]);
  const { os, architecture, variant, osVersion, osFeatures } = platform;
  for (const [key, value] of Object.entries({ os, architecture })) {
    if (typeof value === "string" && value !== "") continue;
    throw wrongArgument(
      call,
      `platform has no ${key}`,
      'Write it as "linux/amd64" or { os: "linux", architecture: "amd64" }.',
      "ERR_KILN_INVALID_PLATFORM",
    );
  }
  return Object.freeze({
    os: checkText(call, "platform.os", os),
    architecture: checkText(call, "platform.architecture", architecture),
    variant: variant === undefined ? undefined : checkText(call, "platform.variant", variant),
    osVersion: osVersion === undefined ? undefined : checkText(call, "platform.osVersion", osVersion),
    osFeatures: osFeatures === undefined ? undefined : checkTexts(call, "platform.osFeatures", osFeatures),
  });
}

function parseText(call: string, platform: string): Platform {
  try {
    return parsePlatform(platform);
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw wrongArgument(call, error.message, error.hint ?? "Write linux/amd64.", error.code);
  }
}

function resolveDescription(
  call: string,
  options: ConstraintOptions,
): Readonly<Record<string, string>> | undefined {
  const { description, customName } = options;
  if (description === undefined && customName === undefined) return undefined;
  // No prototype, so that every key is a key.
  const merged: Record<string, string> = Object.create(null) as Record<string, string>;
  if (description !== undefined) {
    for (const [key, value] of checkRecord(call, "description", description)) merged[key] = value;
  }
  if (customName !== undefined) merged["llb.customname"] = checkText(call, "customName", customName);
  return Object.freeze(merged);
}

function resolveGroup(call: string, group: ProgressGroup): ProgressGroup {
  checkOptions(`${call} progressGroup`, group, ["id", "name", "weak"]);
  return Object.freeze({
    id: checkName(call, "progressGroup.id", group.id),
    name: checkText(call, "progressGroup.name", group.name),
    weak: checkFlag(call, "progressGroup.weak", group.weak),
  });
}

const signed = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const unsigned = { min: 0n, max: 2n ** 64n - 1n };

function resolveResources(call: string, resources: LinuxResources): LinuxResources {
  const sizes = {
    memory: signed,
    memorySwap: signed,
    cpuShares: unsigned,
    cpuPeriod: unsigned,
    cpuQuota: signed,
  };
  checkOptions(`${call} linuxResources`, resources, [...Object.keys(sizes), "cpusetCpus", "cpusetMems"]);
  const size = (key: keyof typeof sizes): Int64 | undefined => {
    const value = resources[key];
    return value === undefined
      ? undefined
      : checkBigInteger(call, `linuxResources.${key}`, value, sizes[key]);
  };
  const set = (key: "cpusetCpus" | "cpusetMems"): string | undefined => {
    const value = resources[key];
    return value === undefined ? undefined : checkText(call, `linuxResources.${key}`, value);
  };
  return Object.freeze({
    memory: size("memory"),
    memorySwap: size("memorySwap"),
    cpuShares: size("cpuShares"),
    cpuPeriod: size("cpuPeriod"),
    cpuQuota: size("cpuQuota"),
    cpusetCpus: set("cpusetCpus"),
    cpusetMems: set("cpusetMems"),
  });
}

import { checkRecord, checkText, wrongArgument } from "./check-argument.js";
import { constraintKeys } from "./constraints.js";
import type { RunOptions } from "./exec-options.js";
import type { State } from "./state.js";
import * as change from "./state-meta.js";
import { type StateMeta, stateProps, withContainer } from "./state-props.js";

/** The keys of `RunOptions`. */
export const runOptionKeys: readonly string[] = [
  ...["dir", "env", "user", "hostname", "network", "security", "extraHosts", "ulimits", "cgroupParent"],
  ...["validExitCodes", "with", "mounts", "secrets", "ssh", "cdiDevices", "proxyEnv", "readonlyRootFs"],
  ...constraintKeys,
];

/** The surroundings of one command: the state's, changed by the command's options. */
export function applyRunOptions(
  call: string,
  start: StateMeta,
  options: RunOptions,
  stateOf: (meta: StateMeta) => State,
): StateMeta {
  if (Object.keys(options).length === 0) return start;
  let meta = start;
  if (options.dir !== undefined) meta = change.setDir(call, meta, options.dir);
  if (options.env !== undefined) {
    for (const [key, value] of checkRecord(call, "env", options.env))
      meta = change.setEnv(call, meta, key, value);
  }
  if (options.user !== undefined) meta = withContainer(meta, { user: checkText(call, "user", options.user) });
  if (options.hostname !== undefined)
    meta = withContainer(meta, { hostname: checkText(call, "hostname", options.hostname) });
  if (options.network !== undefined) meta = change.setNetwork(call, meta, options.network);
  if (options.security !== undefined) meta = change.setSecurity(call, meta, options.security);
  for (const { host, ip } of listOf(call, "extraHosts", options.extraHosts)) {
    meta = change.addExtraHost(call, meta, host, ip);
  }
  for (const ulimit of listOf(call, "ulimits", options.ulimits)) meta = change.addUlimit(call, meta, ulimit);
  if (options.cgroupParent !== undefined) {
    meta = withContainer(meta, { cgroupParent: checkText(call, "cgroupParent", options.cgroupParent) });
  }
  if (options.validExitCodes !== undefined) {
    meta = change.setValidExitCodes(call, meta, listOf(call, "validExitCodes", options.validExitCodes));
  }
  const { with: changes } = options;
  if (changes === undefined) return meta;
  return stateOf(meta).with(...(typeof changes === "function" ? [changes] : changes))[stateProps].meta;
}

function listOf<T>(call: string, name: string, value: readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw wrongArgument(call, `${name} must be an array`, `Write ${name} as an array.`);
}

import {
  checkBigInteger,
  checkChoice,
  checkInteger,
  checkName,
  checkText,
  wrongArgument,
} from "./check-argument.js";
import { isAbsolutePath, joinPath } from "./go-path.js";
import { GrowingList } from "./growing-list.js";
import { canonicalIp } from "./ip-address.js";
import { type StateMeta, type Ulimit, withContainer } from "./state-props.js";

/** Surroundings with a variable set. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function setEnv(call: string, meta: StateMeta, key: string, value: string): StateMeta {
  checkKey(call, key);
  return {
    env: meta.env.set(key, checkText(call, `the value of ${key}`, value)),
    container: meta.container,
  };
}

/** Surroundings without a variable. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function deleteEnv(call: string, meta: StateMeta, key: string): StateMeta {
  checkKey(call, key);
  return { ...meta, env: meta.env.delete(key) };
}

function checkKey(call: string, key: string): void {
  if (!checkName(call, "key", key).includes("=")) return;
  throw wrongArgument(
    call,
    `key contains "=": ${JSON.stringify(key)}`,
    "Pass name and value as two arguments.",
  );
}

/** Surroundings with another working directory. An absolute one is kept as it is written. */
export function setDir(call: string, meta: StateMeta, path: string): StateMeta {
  checkText(call, "path", path);
  return withContainer(meta, { dir: isAbsolutePath(path) ? path : joinPath(meta.container.dir, path) });
}

/** Surroundings with another network mode. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function setNetwork(call: string, meta: StateMeta, mode: unknown): StateMeta {
  const modes = ["sandbox", "host", "none"] as const;
  return withContainer(meta, { network: modes.indexOf(checkChoice(call, "network", mode, modes)) });
}

/** Surroundings with another security mode. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function setSecurity(call: string, meta: StateMeta, mode: unknown): StateMeta {
  const modes = ["sandbox", "insecure"] as const;
  return withContainer(meta, { security: modes.indexOf(checkChoice(call, "security", mode, modes)) });
}

/** Surroundings with one more host. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function addExtraHost(call: string, meta: StateMeta, host: string, ip: string): StateMeta {
  checkName(call, "host", host);
  const address = canonicalIp(checkText(call, "ip", ip));
  if (address === undefined) {
    throw wrongArgument(
      call,
      `not an IP address: ${JSON.stringify(ip)}`,
      "Write it like 10.0.0.1 or fd00::1.",
    );
  }
  return withContainer(meta, {
    extraHosts: GrowingList.append(meta.container.extraHosts, { host, ip: address }),
  });
}

const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

/** Surroundings with one more resource limit. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function addUlimit(call: string, meta: StateMeta, ulimit: Ulimit): StateMeta {
  const checked: Ulimit = {
    name: checkName(call, "name", ulimit.name),
    soft: checkBigInteger(call, "soft", ulimit.soft, int64),
    hard: checkBigInteger(call, "hard", ulimit.hard, int64),
  };
  return withContainer(meta, { ulimits: GrowingList.append(meta.container.ulimits, checked) });
}

/** Surroundings with other valid exit codes. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function setValidExitCodes(call: string, meta: StateMeta, codes: readonly number[]): StateMeta {
  const checked = codes.map((code) => checkInteger(call, "an exit code", code, -0x80000000, 0x7fffffff));
  return withContainer(meta, { validExitCodes: Object.freeze(checked) });
}

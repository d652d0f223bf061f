import { checkOptions } from "../internal/check-options.js";
import {
  checkChoice,
  checkFlag,
  checkInteger,
  checkName,
  checkText,
  checkTexts,
  wrongArgument,
} from "../llb/check-argument.js";
import type { CredentialsProvider } from "../session/credentials.js";
import type { LocalTree } from "../session/file-sync.js";
import type { SourceVerifier } from "../session/policy-verifier.js";
import type { SecretSource } from "../session/secrets.js";
import { checkSshSource, type SshSource } from "../session/ssh-source.js";
import type { UploadSource } from "../session/upload.js";
import { type CacheOptions, checkCaches } from "./caches/cache-options.js";
import type { OutputChooser } from "./output-chooser.js";
import type { Output } from "./outputs.js";
import { checkLock } from "./source-lock/lock-text.js";
import { type PullMode, pullModes, type SourceLock } from "./source-lock/source-lock.js";
import { type AttestationOptions, attestationAttrs } from "./supply-chain/attestation-options.js";
import { type SourcePolicy, sourcePolicyToPb } from "./supply-chain/source-policy.js";

/**
 * What a solve is told, whatever it solves: one value that goes through the solver whole.
 *
 * A new option is a field here with its check in {@link checkSolveSettings}, and is read where it is used: by the
 * request's body, the session's services, the preflight.
 */
export interface SolveSettings extends CacheOptions {
  /** Default none: the solve fills the daemon's cache alone. */
  readonly outputs?: readonly Output[] | undefined;
  /** Local trees by the name in `local://NAME`. */
  readonly trees?: ReadonlyMap<string, LocalTree> | undefined;
  /** OCI layout directories by the store name of `oci-layout://` sources. */
  readonly layouts?: ReadonlyMap<string, string> | undefined;
  /**
   * Credentials for registries that are this build's alone, asked before the client's own; see `CredentialsProvider`. No
   * other build gets them, nor the tokens that the daemon has with them.
   */
  readonly credentials?: CredentialsProvider | undefined;
  /** Secrets by id. */
  readonly secrets?: Readonly<Record<string, SecretSource>> | undefined;
  /** Ssh agents and sockets by id; `default` is what steps get that name none. */
  readonly ssh?: Readonly<Record<string, SshSource>> | undefined;
  /** What sources with URLs `http://buildkit-session/ID` give, by id: bytes or a stream of this machine. */
  readonly uploads?: Readonly<Record<string, UploadSource>> | undefined;
  /** E.g. `network.host`, `security.insecure`, `device`. */
  readonly entitlements?: readonly string[] | undefined;
  /** Seconds since 1970 to which the times of what is made are clamped. */
  readonly sourceDateEpoch?: number | undefined;
  /** Attestations that the daemon makes of the result: provenance, bill of materials. */
  readonly attestations?: AttestationOptions | undefined;
  /** Rules about what the build may be made of. */
  readonly sourcePolicy?: SourcePolicy | undefined;
  /**
   * What moving sources (tags, branches, addresses) are pinned to: a lock file, made if it is missing and completed as
   * `pull` says, or a lock. For definitions and chains; see `lockedDefinition`.
   */
  readonly sourceLock?: string | SourceLock | undefined;
  /** When sources are resolved anew. Only with `sourceLock`; default `missing`. */
  readonly pull?: PullMode | undefined;
  /** Decides about each source as it comes up; see {@link SourceVerifier}. Needs BuildKit 0.26. */
  readonly verifySource?: SourceVerifier | undefined;
  /** Chooses more outputs once the result is known, from its metadata. Needs BuildKit 0.21. */
  readonly chooseOutputs?: OutputChooser | undefined;
  /** Pins what exporters do by default to that of a BuildKit generation: 10, 20 or 30. Needs BuildKit 0.30. */
  readonly compatibilityVersion?: 10 | 20 | 30 | undefined;
  /** Tells apart the daemon's copies of local trees of one name; default: this machine. */
  readonly sharedKey?: string | undefined;
  /** Sends the traffic of commands through a recording proxy of the daemon's. Default false. Needs BuildKit 0.31. */
  readonly proxyNetwork?: boolean | undefined;
  /** Keep the solve out of the daemon's build history. Default false. */
  readonly internal?: boolean | undefined;
  /** Cancels the solve on the daemon. */
  readonly signal?: AbortSignal | undefined;
}

type Check = (call: string, settings: SolveSettings) => void;

// A record, so that the compiler misses a setting that is not in it.
const checks: Readonly<Record<keyof SolveSettings, Check>> = {
  outputs(call, { outputs = [] }) {
    if (Array.isArray(outputs) && outputs.every((output) => typeof output?.type === "string")) return;
    throw wrongArgument(call, "outputs is no array of outputs", "Write it like [ociLayout(dir)].");
  },
  trees: (call, { trees }) => checkMap(call, "trees", trees),
  layouts: (call, { layouts }) => checkMap(call, "layouts", layouts),
  credentials: (call, { credentials }) => checkFunction(call, "credentials", credentials),
  secrets: (call, { secrets }) =>
    checkSources(call, "secrets", secrets, isSecret, "a text, bytes, a function, { env } or { file }"),
  ssh(call, { ssh }) {
    checkSources(call, "ssh", ssh, () => true, "");
    for (const [id, source] of Object.entries(ssh ?? {})) checkSshSource(id, source);
  },
  uploads: (call, { uploads }) => checkSources(call, "uploads", uploads, () => true, ""),
  entitlements(call, { entitlements = [] }) {
    for (const [index, text] of checkTexts(call, "entitlements", entitlements).entries()) {
      checkName(call, `entitlements[${index}]`, text);
    }
  },
  sourceDateEpoch(call, { sourceDateEpoch: epoch }) {
    if (epoch !== undefined) checkInteger(call, "sourceDateEpoch", epoch, 0, 253_402_300_799);
  },
  attestations: (_call, { attestations }) => void attestationAttrs(attestations),
  sourcePolicy(_call, { sourcePolicy }) {
    if (sourcePolicy !== undefined) sourcePolicyToPb(sourcePolicy);
  },
  sourceLock(call, { sourceLock }) {
    if (typeof sourceLock === "string") checkName(call, "sourceLock", sourceLock);
    else if (sourceLock !== undefined) checkLock(sourceLock);
  },
  pull(call, { pull, sourceLock }) {
    if (pull === undefined) return;
    checkChoice(call, "pull", pull, pullModes);
    if (sourceLock === undefined) {
      throw wrongArgument(call, "pull is of no use without sourceLock", "Name a lock file in sourceLock.");
    }
  },
  compatibilityVersion(call, { compatibilityVersion }) {
    if (compatibilityVersion === undefined || [10, 20, 30].includes(compatibilityVersion)) return;
    throw wrongArgument(
      call,
      `compatibilityVersion ${String(compatibilityVersion)} is none of 10, 20 and 30`,
      "Leave it out for the daemon's newest.",
    );
  },
  cacheExports: (_call, { cacheExports }) => checkCaches({ cacheExports }),
  cacheImports: (_call, { cacheImports }) => checkCaches({ cacheImports }),
  sharedKey(call, { sharedKey }) {
    if (sharedKey !== undefined) checkText(call, "sharedKey", sharedKey);
  },
  proxyNetwork: (call, { proxyNetwork }) => void checkFlag(call, "proxyNetwork", proxyNetwork),
  internal: (call, { internal }) => void checkFlag(call, "internal", internal),
  signal(call, { signal }) {
    if (signal === undefined || signal instanceof AbortSignal) return;
    throw wrongArgument(call, "signal is no AbortSignal", "Pass the signal of an AbortController.");
  },
  verifySource: (call, { verifySource }) => checkFunction(call, "verifySource", verifySource),
  chooseOutputs: (call, { chooseOutputs }) => checkFunction(call, "chooseOutputs", chooseOutputs),
};

function checkMap(call: string, name: string, value: unknown): void {
  if (value === undefined || value instanceof Map) return;
  throw wrongArgument(call, `${name} is no Map`, `Write ${name} as new Map([[name, …]]).`);
}

function checkFunction(call: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === "function") return;
  throw wrongArgument(call, `${name} is no function`, `Pass ${name} as a function.`);
}

// Names what is wrong by its id alone: a secret shows in no message.
function checkSources(
  call: string,
  name: string,
  sources: unknown,
  isOne: (value: unknown) => boolean,
  forms: string,
): void {
  if (sources === undefined) return;
  if (typeof sources !== "object" || sources === null || Array.isArray(sources)) {
    throw wrongArgument(call, `${name} is no object`, `Write ${name} as { id: source }.`);
  }
  for (const [id, source] of Object.entries(sources)) {
    checkName(call, `an id of ${name}`, id);
    if (!isOne(source)) throw wrongArgument(call, `${name}.${id} is no source`, `Pass ${forms}.`);
  }
}

function isSecret(value: unknown): boolean {
  return (
    ["string", "function"].includes(typeof value) ||
    value instanceof Uint8Array ||
    hasOneText(value, ["env", "file"])
  );
}

function hasOneText(value: unknown, keys: readonly string[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  const entries = Object.entries(value);
  return (
    entries.length === 1 && entries.every(([key, text]) => keys.includes(key) && typeof text === "string")
  );
}

/**
 * Checks a call's settings. `more` are keys that the call knows beside them, `without` those that it does not take.
 *
 * Throws `ERR_KILN_UNKNOWN_OPTION` and `ERR_KILN_INVALID_ARGUMENT`. Nothing is read or sent.
 */
export function checkSolveSettings(
  call: string,
  settings: SolveSettings,
  keys: { readonly more?: readonly string[]; readonly without?: readonly (keyof SolveSettings)[] } = {},
): void {
  const { more = [], without = [] } = keys;
  const own = Object.keys(checks).filter((key) => !(without as readonly string[]).includes(key));
  checkOptions(call, settings, [...own, ...more]);
  for (const check of Object.values(checks)) check(call, settings);
}

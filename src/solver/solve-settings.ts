import { checkOptions } from "../internal/check-options.js";
import { wrongArgument } from "../llb/check-argument.js";
import type { LocalTree } from "../session/file-sync.js";
import type { SourceVerifier } from "../session/policy-verifier.js";
import type { SecretSource } from "../session/secrets.js";
import type { SshSource } from "../session/ssh.js";
import type { UploadSource } from "../session/upload.js";
import { type CacheOptions, checkCaches } from "./caches/cache-transfer.js";
import type { OutputChooser } from "./output-chooser.js";
import type { Output } from "./outputs.js";
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
  /** Decides about each source as it comes up; see {@link SourceVerifier}. Needs BuildKit 0.26. */
  readonly verifySource?: SourceVerifier | undefined;
  /** Chooses more outputs once the result is known, from its metadata. Needs BuildKit 0.21. */
  readonly chooseOutputs?: OutputChooser | undefined;
  /** Pins what exporters do by default to that of a BuildKit generation: 10, 20 or 30. Needs BuildKit 0.30. */
  readonly compatibilityVersion?: 10 | 20 | 30 | undefined;
  /** Tells apart the daemon's copies of local trees of one name; default: this machine. */
  readonly sharedKey?: string | undefined;
  /** Keep the solve out of the daemon's build history. Default false. */
  readonly internal?: boolean | undefined;
  /** Cancels the solve on the daemon. */
  readonly signal?: AbortSignal | undefined;
}

type Check = (call: string, settings: SolveSettings) => void;

// What is checked where it is used has nothing to check here.
const elsewhere: Check = () => {};

// A record, so that the compiler misses a setting that is not in it.
const checks: Readonly<Record<keyof SolveSettings, Check>> = {
  outputs: elsewhere,
  trees: elsewhere,
  layouts: elsewhere,
  secrets: elsewhere,
  ssh: elsewhere,
  uploads: elsewhere,
  entitlements: elsewhere,
  sourceDateEpoch: elsewhere,
  attestations: (_call, { attestations }) => void attestationAttrs(attestations),
  sourcePolicy: (_call, { sourcePolicy }) => {
    if (sourcePolicy !== undefined) sourcePolicyToPb(sourcePolicy);
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
  sharedKey: elsewhere,
  internal: elsewhere,
  signal: elsewhere,
  verifySource: elsewhere,
  chooseOutputs: elsewhere,
};

/**
 * Checks a call's settings; `more` are keys that the call knows beside them.
 *
 * Throws `ERR_KILN_UNKNOWN_OPTION` and `ERR_KILN_INVALID_ARGUMENT`. Nothing is read or sent.
 */
export function checkSolveSettings(
  call: string,
  settings: SolveSettings,
  more: readonly string[] = [],
): void {
  checkOptions(call, settings, [...Object.keys(checks), ...more]);
  for (const check of Object.values(checks)) check(call, settings);
}

import { setTimeout as delay } from "node:timers/promises";
import { KilnError } from "../errors.js";
import type { FileVersion } from "../internal/file-version.js";
import { authService, type ClientTokens } from "../session/auth.js";
import { contentService } from "../session/content.js";
import {
  type ContentStore,
  layoutStore,
  type WritableContentStore,
  type WritableLayoutOptions,
  writableLayoutStore,
} from "../session/content-store.js";
import type { CredentialsProvider } from "../session/credentials.js";
import { type ExporterChoice, exporterService, type FinishedResult } from "../session/exporter.js";
import { type ExporterMetadata, type FileSendTarget, fileSendService } from "../session/file-send.js";
import { fileSyncService } from "../session/file-sync.js";
import type { Attachable } from "../session/grpc/service.js";
import { policyVerifierService } from "../session/policy-verifier.js";
import { SecretMasks } from "../session/secret-masks.js";
import { secretsService, valueAtHand } from "../session/secrets.js";
import { sshService } from "../session/ssh.js";
import { uploadService } from "../session/upload.js";
import type { FileTarget, Output } from "./outputs.js";
import type { SolveSettings } from "./solve-settings.js";

const settleMs = 5_000;

/** On whose behalf a session answers: what does not change from solve to solve. A `Client` is one. */
export interface SessionOwner {
  readonly credentials: CredentialsProvider;
  /** Who fetches the tokens of registries; default the daemon. */
  readonly tokens?: ClientTokens | undefined;
  /** Where secrets and ssh agents look for their variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What a session serves beside what the solve's settings name. */
export interface SessionParts {
  /** In the order of the daemon's exporters. */
  readonly outputs: readonly Output[];
  /** More content stores by the id that the daemon asks for: those of local caches. */
  readonly stores: ReadonlyMap<string, ContentStore>;
  /** See `SolveRequest`. */
  readonly blobVersions?: ReadonlyMap<string, FileVersion> | undefined;
  readonly blobAt?: WritableLayoutOptions["blobAt"];
  /** Chooses exporters once the result is known. */
  readonly chooser: ((result: FinishedResult) => Promise<readonly ExporterChoice[]>) | undefined;
}

/** The services of a session, and what they learn while the solve runs. */
export interface SessionServices {
  readonly services: readonly Attachable[];
  /** What went wrong on this side, in order: the daemon's error holds only a text of it. */
  readonly problems: readonly unknown[];
  /** Why there were no credentials, by registry host: the daemon says only that the registry refuses. */
  readonly credentialProblems: ReadonlyMap<string, KilnError>;
  /**
   * The values of secrets: those at hand, the others once the daemon has got them. Those of the build's own credentials too.
   */
  readonly masks: SecretMasks;
  /** What the daemon said about the tar of each exporter, by exporter id. */
  readonly tarMetadata: ReadonlyMap<number, ExporterMetadata>;
  /**
   * Waits until no transfer to this machine is under way any more, five seconds at most: a target of the caller's may
   * take its time. Never rejects. Call when the session is closed.
   */
  settled(): Promise<void>;
  /** Makes the services ready for one more output. Throws as {@link sessionServices}. */
  connect(id: number, output: Output): void;
  /** The layout that the daemon writes, if an output asks for one. */
  readonly exported: WritableContentStore | undefined;
}

/**
 * Makes the session's services for a solve with these outputs.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` for a second OCI layout directory: the daemon can address one.
 */
export function sessionServices(
  owner: SessionOwner,
  settings: SolveSettings,
  parts: SessionParts,
): SessionServices {
  const { outputs, chooser } = parts;
  const { credentials, tokens, env } = owner;
  const problems: unknown[] = [];
  const credentialProblems = new Map<string, KilnError>();
  const masks = new SecretMasks();
  // A step that runs for another build too prints for both, and its secrets may come from the other's session.
  for (const source of Object.values(settings.secrets ?? {})) masks.add(valueAtHand(source, env) ?? "");
  const tarMetadata = new Map<number, ExporterMetadata>();
  const targets = new Map<number, FileSendTarget>();
  const stores = new Map<string, ContentStore>(parts.stores);
  const transfers: Promise<void>[] = [];
  let exported: WritableContentStore | undefined;
  for (const [name, dir] of settings.layouts ?? []) stores.set(`oci:${name}`, layoutStore(dir));
  const connect = (id: number, output: Output): void => {
    switch (output.type) {
      case "registry":
      case "docker-image":
        break;
      case "oci-layout":
        if (exported !== undefined) {
          throw new KilnError(
            "ERR_KILN_INVALID_ARGUMENT",
            "a build can write one OCI layout directory, not two",
            {
              hint: "BuildKit addresses one export store a session: use ociTar(…) for the second.",
            },
          );
        }
        exported = writableLayoutStore(output.dir, {
          versions: parts.blobVersions ?? new Map(),
          blobAt: parts.blobAt,
        });
        stores.set("export", exported);
        break;
      case "local":
        targets.set(id, { kind: "dir", path: output.dir });
        break;
      case "oci-tar":
      case "docker-tar":
      case "tar":
        targets.set(
          id,
          tarTarget(output.target, (metadata) => tarMetadata.set(id, metadata)),
        );
        break;
      default:
        output satisfies never;
    }
  };
  for (const [id, output] of outputs.entries()) connect(id, output);
  const note = (error: unknown): void => {
    problems.push(error);
  };
  return {
    problems,
    credentialProblems,
    masks,
    tarMetadata,
    connect,
    async settled() {
      const timeout = new AbortController();
      await Promise.race([
        Promise.all(transfers),
        delay(settleMs, undefined, { signal: timeout.signal }).catch(() => {}),
      ]);
      timeout.abort();
    },
    get exported() {
      return exported;
    },
    services: [
      ...(chooser === undefined ? [] : [exporterService(chooser, { onProblem: note })]),
      ...(settings.verifySource === undefined
        ? []
        : [policyVerifierService(settings.verifySource, { onProblem: note })]),
      fileSyncService(settings.trees ?? new Map(), { onProblem: (_name, error) => note(error) }),
      fileSendService(targets, {
        onProblem: (_id, error) => note(error),
        onTransfer: (over) => transfers.push(over),
      }),
      contentService(stores),
      secretsService(settings.secrets ?? {}, { env, onValue: (value) => masks.add(value), onProblem: note }),
      sshService(settings.ssh ?? {}, { env, onProblem: note }),
      uploadService(settings.uploads ?? {}, { onProblem: (_id, error) => note(error) }),
      authService({
        credentials,
        own: settings.credentials && noting(settings.credentials, masks),
        tokens,
        onProblem(error, host) {
          note(error);
          credentialProblems.set(host, error);
        },
      }),
    ],
  };
}

/** A provider whose answers are masked. */
function noting(provider: CredentialsProvider, masks: SecretMasks): CredentialsProvider {
  return async (host, signal) => {
    const found = await provider(host, signal);
    masks.add(found?.secret ?? "");
    masks.add(found?.registryToken ?? "");
    return found;
  };
}

function tarTarget(target: FileTarget, onMetadata: (metadata: ExporterMetadata) => void): FileSendTarget {
  return typeof target === "string"
    ? { kind: "file", path: target, onMetadata }
    : { kind: "stream", open: target, onMetadata };
}

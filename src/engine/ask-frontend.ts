import { KilnError } from "../errors.js";
import type { FrontendQuestion } from "../image/frontend-question.js";
import type { FrontendFact } from "../model/facts.js";
import type { ImageConfig } from "../oci/image-config.js";
import type { Platform } from "../oci/platform.js";
import type { Session } from "../session/session.js";
import type { Client } from "../solver/client.js";
import { withGateway } from "../solver/gateway/with-gateway.js";
import type { SolveSettings } from "../solver/solve-settings.js";
import { unlockedError } from "../solver/source-lock/pin-definition.js";
import type { SourceLock } from "../solver/source-lock/source-lock.js";
import { imageScheme, nameOfSource } from "../solver/source-lock/source-name.js";
import { dockerfileErrorFrom } from "../solver/translate-solve-error.js";
import {
  dockerfilePolicy,
  layoutContexts,
  lockOfDockerfile,
  type MirrorLayout,
  namesAt,
} from "./inputs/dockerfile-sources.js";
import type { Mirrors } from "./registries/mirrors.js";

/** What {@link askFrontend} works with. */
export interface AskFrontendOptions {
  readonly client: Client;
  readonly session: Session;
  readonly platform: Platform;
  readonly settings: Pick<SolveSettings, "sourcePolicy" | "verifySource" | "pull" | "signal">;
  readonly mirrors: Mirrors;
  readonly mirrorLayouts: readonly MirrorLayout[];
  /** What images are locked to; `undefined` = the build has no lock. */
  readonly lock: SourceLock | undefined;
}

/** A frontend's answer, and what the images in it are locked to. */
export interface FrontendAnswer {
  readonly fact: FrontendFact;
  readonly lock: SourceLock;
}

/** Capabilities of the gateway that a Dockerfile in a chain needs. */
const neededCaps = ["frontend.inputs", "reference.output"] as const;

/**
 * Asks the daemon's own Dockerfile frontend what a Dockerfile is. Nothing of it runs: images are resolved, by the lock
 * and at the mirrors as bases are.
 *
 * Rejects with `ERR_KILN_UNSUPPORTED` for a daemon that cannot be asked, with `ERR_KILN_SOURCE_UNLOCKED` under
 * `pull: "locked"`, and with a `SolveError` for what is wrong with the Dockerfile; all with the step's place.
 */
export async function askFrontend(
  question: FrontendQuestion,
  options: AskFrontendOptions,
): Promise<FrontendAnswer> {
  const { client, session, platform, settings, mirrors, lock } = options;
  const { text, inputs, title, location } = question;
  const pull = settings.pull ?? "missing";
  await refuseMissingCaps(client, question);
  const sources = { platform, lock, pull, mirrors, policy: settings.sourcePolicy };
  try {
    return await withGateway(
      client.connection,
      async (gateway) => {
        const { ref, metadata } = await gateway.solve({
          frontend: "dockerfile.v0",
          frontendOptions: {
            ...layoutContexts(options.mirrorLayouts),
            ...(pull === "always" ? { "image-resolve-mode": "pull" } : {}),
            ...question.options,
          },
          frontendInputs: inputs,
        });
        const definition = ref?.toDefinition();
        const config = parseConfig(metadata.get("containerimage.config"), question);
        const known = Object.values(inputs).flatMap((input) => input.ops.map(({ digest }) => digest));
        const texts = [text, ...Object.values(question.options)];
        return {
          fact: { definition, config },
          lock:
            definition === undefined
              ? { version: 1, sources: [] }
              : lockOfDockerfile(definition, { known: new Set(known), texts, platform, mirrors }),
        };
      },
      {
        session,
        policy: { sourcePolicy: dockerfilePolicy(sources), verifySource: settings.verifySource },
        signal: settings.signal,
      },
    );
  } catch (error) {
    throw unlockedBy(error, options, question) ?? dockerfileErrorFrom(error, { title, location });
  }
}

async function refuseMissingCaps(client: Client, { title, location }: FrontendQuestion): Promise<void> {
  const { frontendCaps, address } = await client.facts();
  const missing = neededCaps.find((cap) => frontendCaps.size > 0 && !frontendCaps.has(cap));
  if (missing === undefined) return;
  throw new KilnError(
    "ERR_KILN_UNSUPPORTED",
    `${title}: the daemon at ${address} does not support ${missing}, which Dockerfiles in chains need`,
    { hint: "Use BuildKit 0.13 or newer.", location },
  );
}

function parseConfig(bytes: Uint8Array | undefined, { title, location }: FrontendQuestion): ImageConfig {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as ImageConfig;
  } catch (error) {
    throw new KilnError("ERR_KILN_PROTOCOL", `${title}: the frontend gave no config of the image`, {
      cause: error,
      location,
    });
  }
}

/** The refusal of an image that the lock does not hold, by the name that the Dockerfile has. */
function unlockedBy(
  error: unknown,
  { settings, platform, mirrors }: AskFrontendOptions,
  { location }: FrontendQuestion,
): KilnError | undefined {
  if (settings.pull !== "locked" || !(error instanceof Error)) return undefined;
  const [, ref] = /source "docker-image:\/\/([^"@]+)" denied by policy/.exec(error.message) ?? [];
  if (ref === undefined) return undefined;
  const names = namesAt(ref, mirrors).flatMap((name) => {
    const named = nameOfSource({ identifier: `${imageScheme}${name}`, attrs: {}, platform });
    return named === undefined ? [] : [named];
  });
  return unlockedError(names, { location });
}

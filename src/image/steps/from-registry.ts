import { captureCallSite } from "../../internal/call-site.js";
import type { RegistryAuth } from "../../model/needs.js";
import { formatReference, parseReference } from "../../oci/reference.js";
import {
  type AddPythonOptions,
  addPython,
  addPythonNeeds,
  checkAddPython,
  modalAddPython,
} from "../add-python.js";
import { argumentError, describe } from "../check-args.js";
import { defineStep, type Step } from "../define-step.js";
import { Secret } from "../secret.js";
import { checkStepOptions, type StepOptions } from "../step-options.js";

/** Options of `Image.fromRegistry`. */
export interface FromRegistryOptions
  extends Pick<StepOptions, "name" | "env" | "timeoutMs" | "caBundle" | "forceBuild"> {
  /**
   * Credentials of the registry, for this base alone: `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`. Default: those of the
   * engine, such as `docker login` stored.
   */
  readonly secret?: Secret | undefined;
  /**
   * Adds Python to a base that has none: a series (`"3.12"`), or options. A standalone build is unpacked into `/usr/local`;
   * the base needs a C library and nothing else.
   */
  readonly addPython?: string | AddPythonOptions | undefined;
  /** Lines of a Dockerfile that are run before anything else, by the daemon's Dockerfile frontend. */
  readonly setupDockerfileCommands?: readonly string[] | undefined;
}

/** Options of `Image.fromAwsEcr`. */
export interface FromAwsEcrOptions extends Omit<FromRegistryOptions, "secret"> {
  /**
   * `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_ROLE_ARN` for a role that a token of OpenID Connect may take
   * on; `AWS_REGION`. Default: the engine's own credentials.
   */
  readonly secret?: Secret | undefined;
}

/** Options of `Image.fromGcpArtifactRegistry`. */
export interface FromGcpArtifactRegistryOptions extends Omit<FromRegistryOptions, "secret"> {
  /** `SERVICE_ACCOUNT_JSON`: the text of a service account's key. Default: the engine's own credentials. */
  readonly secret?: Secret | undefined;
}

/** Input of the steps that start from a registry. */
export interface FromRegistryInput {
  readonly ref: string;
  /** A secret alone is the option of that name. */
  readonly options: FromRegistryOptions | Secret | undefined;
}

/** Starts from an image that the daemon pulls; its config is carried on. */
export const fromRegistry: Step<FromRegistryInput> = registryStep("fromRegistry", {
  kind: "basic",
  variables: [["REGISTRY_USERNAME", "REGISTRY_PASSWORD"]],
});

/** Starts from an image in a private registry of Amazon's ECR. */
export const fromAwsEcr: Step<FromRegistryInput> = registryStep("fromAwsEcr", {
  kind: "aws",
  variables: [["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], ["AWS_ROLE_ARN"]],
  hosts:
    /^\d{12}\.dkr(?:\.ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.(?:com(?:\.cn)?|eu)|-ecr(?:-fips)?\.[a-z0-9-]+\.on\.(?:aws|amazonwebservices\.com\.cn))$/,
  hostHint: "It is ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG; public.ecr.aws is for Image.fromRegistry.",
});

/** Starts from an image in Google's Artifact Registry or Container Registry. */
export const fromGcpArtifactRegistry: Step<FromRegistryInput> = registryStep("fromGcpArtifactRegistry", {
  kind: "gcp",
  variables: [["SERVICE_ACCOUNT_JSON"]],
  hosts: /^(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*\.pkg\.dev|(?:[a-z0-9-]+\.)?gcr\.io)$/,
  hostHint: "It is REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG, or gcr.io/PROJECT/NAME:TAG.",
});

/** How one kind of registry is written. */
interface RegistryKind {
  readonly kind: RegistryAuth["kind"];
  /** What a secret must hold: all of one of these. */
  readonly variables: readonly (readonly string[])[];
  /** Default: any. */
  readonly hosts?: RegExp;
  readonly hostHint?: string;
}

const ownKeys = ["secret", "addPython", "setupDockerfileCommands"];

function registryStep(call: string, registry: RegistryKind): Step<FromRegistryInput> {
  return defineStep({
    id: call,
    version: 1,
    validate({ ref, options: given }: FromRegistryInput) {
      const reference = parseReference(ref, { location: captureCallSite() });
      if (registry.hosts !== undefined && !registry.hosts.test(reference.domain)) {
        throw argumentError(call, `${reference.domain} is no registry of this kind`, {
          code: "ERR_KILN_INVALID_REFERENCE",
          hint: registry.hostHint,
        });
      }
      const options: FromRegistryOptions | undefined = Secret.isSecret(given) ? { secret: given } : given;
      refuseKeys(call, options);
      return {
        ref: formatReference(reference),
        written: ref,
        secret: checkSecret(call, options?.secret, registry.variables),
        python: checkAddPython(call, options?.addPython),
        setup: checkSetup(call, options?.setupDockerfileCommands),
        options: checkStepOptions(call, options, ownKeys),
      };
    },
    title: ({ written }) => `${call} ${written}`,
    options: ({ options }) => options,
    needs({ ref, secret, python, setup, options }, { builder }) {
      const auth = secret && ({ kind: registry.kind, secret: "registry" } as const);
      return {
        ...(python === undefined ? {} : addPythonNeeds(python, builder)),
        bases: { base: { kind: "registry", ref, auth, ...(options.forceBuild ? { refresh: true } : {}) } },
        ...(secret === undefined ? {} : { registrySecrets: { registry: secret } }),
        ...(setup.length === 0 ? {} : { dockerfile: true }),
      };
    },
    lower(_chain, { python, setup }, context) {
      const base = context.base("base");
      const chain = python === undefined ? base : addPython(base, python, context);
      if (setup.length === 0) return chain;
      const text = ["FROM base", ...setup, ""].join("\n");
      return context.dockerfile(chain, {
        ...{ key: "setup", text, filename: "setupDockerfileCommands", baseName: "base" },
      });
    },
    traits: ({ written, python, setup }) => ({
      baseRef: written,
      changes: setup.length === 0 && python === undefined ? "cheap" : "install",
      commands: setup.map((text) => ({ kind: "dockerfile", text })),
    }),
    withBaseRef: (args, ref) => ({ ...args, ref: formatReference(parseReference(ref)), written: ref }),
    modal: ({ written, python, setup }) => [
      {
        commands: [`FROM ${written}`, ...(python === undefined ? [] : modalAddPython(python)), ...setup],
        contextFiles: {},
      },
    ],
  });
}

/** Refuses what belongs elsewhere, with the place where it belongs. */
function refuseKeys(call: string, options: FromRegistryOptions | undefined): void {
  if (typeof options !== "object" || options === null) return;
  const places = {
    secrets:
      "Use the singular 'secret': it opens the registry. secrets are for the steps whose commands need them.",
    gpu: "Give gpu to the step that needs it.",
    platform: 'The platform is the build\'s: engine.build(image, { platform: "linux/arm64" }).',
    pull: 'pull is the build\'s: engine.build(image, { pull: "always" }); forceBuild: true asks for this base anew.',
  };
  for (const [key, hint] of Object.entries(places)) {
    if (!(key in options)) continue;
    throw argumentError(call, `unknown option "${key}"`, { code: "ERR_KILN_UNKNOWN_OPTION", hint });
  }
}

function checkSecret(
  call: string,
  secret: unknown,
  variables: readonly (readonly string[])[],
): Secret | undefined {
  if (secret === undefined) return undefined;
  const wanted = variables.map((names) => names.join(" and ")).join(", or ");
  if (!Secret.isSecret(secret)) {
    // Not described: what is in the place of a secret may be one.
    throw argumentError(call, "secret must be a Secret", {
      hint: `E.g. Secret.fromName("registry"), with ${wanted}.`,
    });
  }
  const { origin } = secret;
  if (origin.kind !== "object" && origin.kind !== "env") return secret;
  if (variables.some((names) => names.every((name) => origin.keys.includes(name)))) return secret;
  throw argumentError(call, `the secret must hold ${wanted}`, {
    hint: `It holds ${origin.keys.join(", ") || "nothing"}.`,
  });
}

function checkSetup(call: string, lines: unknown): readonly string[] {
  if (lines === undefined) return [];
  if (!Array.isArray(lines) || !lines.every((line) => typeof line === "string" && !line.includes("\0"))) {
    throw argumentError(call, `setupDockerfileCommands must be a list of lines, got ${describe(lines)}`, {
      hint: 'Write setupDockerfileCommands: ["RUN apt-get update && apt-get install -y python3 python3-pip"].',
    });
  }
  return [...lines];
}

import { readFile } from "node:fs/promises";
import { status } from "@grpc/grpc-js";
import { KilnError } from "../errors.js";
import { Secrets } from "../gen/moby/buildkit/secrets/v1/secrets_pb.js";
import type { Attachable } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";
import { unaryService } from "./grpc/unary-service.js";

/** BuildKit's own client refuses larger secrets; so do we, before the daemon is bothered. */
export const secretLimit: number = 500 * 1024;

/** Where a secret's value comes from: asked for each time the daemon asks, never kept. */
export type SecretSource =
  | string
  | Uint8Array
  | { readonly env: string }
  | { readonly file: string }
  | (() => string | Uint8Array | undefined | Promise<string | Uint8Array | undefined>);

/** Options of {@link secretsService}. */
export interface SecretsOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Told of every value before the daemon gets it. */
  readonly onValue?: ((value: Uint8Array) => void) | undefined;
  /** Told why a secret could not be given: the daemon's own error says only that it is missing. */
  readonly onProblem?: ((error: KilnError) => void) | undefined;
}

/**
 * Answers the daemon's questions for secrets.
 *
 * An id that is not in `sources` is answered NOT_FOUND without a word: git and http sources ask for
 * credentials that nobody promised. A value above 500 KiB is `ERR_KILN_SECRET_TOO_LARGE`. Values appear in
 * no message.
 */
export function secretsService(
  sources: Readonly<Record<string, SecretSource>>,
  options: SecretsOptions,
): Attachable {
  return unaryService(Secrets, {
    async getSecret({ ID }) {
      const source = Object.hasOwn(sources, ID) ? sources[ID] : undefined;
      if (source === undefined) throw new ServiceRefusal(status.NOT_FOUND, `secret ${ID}: not found`);
      try {
        const data = await readSecret(ID, source, options.env);
        options.onValue?.(data);
        return { data };
      } catch (error) {
        if (!(error instanceof KilnError)) throw error;
        options.onProblem?.(error);
        const code = error.code === "ERR_KILN_SECRET_NOT_FOUND" ? status.NOT_FOUND : status.INVALID_ARGUMENT;
        throw new ServiceRefusal(code, `secret ${ID}: ${error.message}`);
      }
    },
  });
}

/**
 * The value of a secret.
 *
 * Rejects with `ERR_KILN_SECRET_NOT_FOUND` when its source has none and `ERR_KILN_SECRET_TOO_LARGE`.
 */
export async function readSecret(
  id: string,
  source: SecretSource,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Uint8Array> {
  const value = await sourceValue(id, source, env);
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  if (bytes.length > secretLimit) {
    throw new KilnError(
      "ERR_KILN_SECRET_TOO_LARGE",
      `the secret "${id}" has ${bytes.length} bytes, ${secretLimit} are allowed`,
      {
        hint: "Pass large files as a local directory instead, or fetch them in the step with a small token.",
      },
    );
  }
  return bytes;
}

/** The value of a secret if nothing must be read or called for it. */
export function valueAtHand(
  source: SecretSource,
  env: Readonly<Record<string, string | undefined>>,
): string | Uint8Array | undefined {
  if (typeof source === "string" || source instanceof Uint8Array) return source;
  return typeof source === "object" && "env" in source ? env[source.env] : undefined;
}

async function sourceValue(
  id: string,
  source: SecretSource,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | Uint8Array> {
  if (typeof source === "string" || source instanceof Uint8Array) return source;
  if (typeof source === "function") {
    const value = await source();
    if (value === undefined)
      throw missing(id, "its callback returned nothing", "Return a string or bytes from it.");
    return value;
  }
  if ("env" in source) {
    const value = env[source.env];
    if (value === undefined)
      throw missing(id, `the environment variable ${source.env} is not set`, `Set ${source.env}.`);
    return value;
  }
  try {
    return await readFile(source.file);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "ENOENT" ? "does not exist" : "cannot be read";
    throw missing(id, `the file ${source.file} ${why}`, "Check the path and its permissions.");
  }
}

function missing(id: string, why: string, hint: string): KilnError {
  return new KilnError("ERR_KILN_SECRET_NOT_FOUND", `no value for the secret "${id}": ${why}`, { hint });
}

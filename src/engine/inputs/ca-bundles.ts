import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type CallSite, KilnError } from "../../errors.js";
import type { Needs } from "../../model/needs.js";
import type { SecretSource } from "../../session/secrets.js";
import { localError } from "./local-error.js";

/** Certificates that steps trust, found. */
export interface GatheredCaBundles {
  /** Session's id of the whole build's. */
  readonly common: string | undefined;
  /** Session's ids by need id. */
  readonly byStep: ReadonlyMap<string, string>;
  /** For the session, by id. */
  readonly sources: Readonly<Record<string, SecretSource>>;
}

const commonId = "kiln.ca";

/**
 * Reads the certificates of a build and its steps.
 *
 * The ids say nothing of the content, so that another bundle reruns nothing. Rejects with `ERR_KILN_FILE_NOT_FOUND`,
 * `ERR_KILN_FILE_UNREADABLE`, or `ERR_KILN_INVALID_ARGUMENT` for a file without a PEM certificate.
 */
export async function gatherCaBundles(
  needs: Needs,
  common: string | undefined,
  cwd: string,
): Promise<GatheredCaBundles> {
  const sources = new Map<string, SecretSource>();
  const byStep = new Map<string, string>();
  if (common !== undefined) sources.set(commonId, await readBundle("caBundle", common, cwd, undefined));
  for (const { id, path, title, location } of needs.caBundles) {
    const secretId = `${commonId}.${path}`;
    byStep.set(id, secretId);
    if (!sources.has(secretId)) sources.set(secretId, await readBundle(title, path, cwd, location));
  }
  return {
    common: common === undefined ? undefined : commonId,
    byStep,
    sources: Object.fromEntries(sources),
  };
}

async function readBundle(
  title: string,
  given: string,
  cwd: string,
  location: CallSite | undefined,
): Promise<Uint8Array> {
  const path = resolve(cwd, given);
  let content: Uint8Array;
  try {
    content = await readFile(path);
  } catch (error) {
    throw localError(`${title}: cannot read the certificates ${path}`, path, error, location);
  }
  if (new TextDecoder().decode(content).includes("-----BEGIN CERTIFICATE-----")) return content;
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${title}: ${path} holds no PEM certificate`, {
    hint: "A bundle is a text file of certificates, each from -----BEGIN CERTIFICATE----- on.",
    location,
  });
}

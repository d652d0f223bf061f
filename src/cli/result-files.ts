import { writeFile } from "node:fs/promises";
import type { BuildResult } from "../engine/build.js";
import { KilnError } from "../errors.js";

/**
 * What `--metadata-file` holds: the daemon's answer by its own keys, values that are JSON in base64 decoded, and the
 * build's ref as `kiln.build.ref`.
 */
export function metadataOf(
  result: Pick<BuildResult, "ref" | "exporterResponse">,
): Readonly<Record<string, unknown>> {
  const entries = Object.entries(result.exporterResponse).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...Object.fromEntries(entries.map(([key, value]) => [key, decoded(value)])),
    "kiln.build.ref": result.ref,
  };
}

/**
 * The image's id for `--iidfile`: the digest of its config, or that of the index where there are several images.
 * `undefined` if no image was made.
 */
export function imageIdOf(result: Pick<BuildResult, "digest" | "exporterResponse">): string | undefined {
  const { exporterResponse } = result;
  return (
    exporterResponse["containerimage.config.digest"] ??
    exporterResponse["containerimage.digest"] ??
    result.digest
  );
}

/** Writes a file of a build's results. Rejects with `ERR_KILN_OUTPUT_UNWRITABLE`. */
export async function writeResultFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw new KilnError("ERR_KILN_OUTPUT_UNWRITABLE", `cannot write ${path}: ${(error as Error).message}`, {
      cause: error,
      hint: "Check that its directory is there and may be written to.",
    });
  }
}

function decoded(value: string): unknown {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return jsonOr(value, value);
  return jsonOr(Buffer.from(value, "base64").toString("utf8"), value);
}

function jsonOr(text: string, otherwise: string): unknown {
  if (!/^\s*[[{]/.test(text)) return otherwise;
  try {
    return JSON.parse(text);
  } catch {
    return otherwise;
  }
}

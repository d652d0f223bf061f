import { createHash } from "node:crypto";
import type { SecretVariable } from "../model/secret.js";

const idPrefix = "kiln.version.";

/** The version of variables together: 32 hexadecimal digits; `undefined` if the value of none of them counts. */
export function versionOf(variables: readonly SecretVariable[]): string | undefined {
  const versions = variables.flatMap(({ version }) => version ?? []);
  if (versions.length === 0) return undefined;
  return createHash("sha256").update(versions.join("\n")).digest("hex").slice(0, 32);
}

/** The id of a secret that nobody has, in whose name a version is part of commands' key. */
export function versionId(version: string): string {
  return `${idPrefix}${version}`;
}

/** The text with what is alike on every machine in place of versions. */
export function withoutVersions(text: string): string {
  return text.replaceAll(/\bkiln\.version\.[0-9a-f]{32}\b/g, versionId("<versioned>"));
}

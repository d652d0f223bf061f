import type { AttestationOptions } from "../engine/command-line.js";
import { flagValue, onlyKeys, specMap, wrongFlag } from "./spec-fields.js";

type Provenance = Exclude<AttestationOptions["provenance"], boolean | undefined>;

const hint = "E.g. --provenance mode=max, --sbom true or --attest type=sbom,generator=IMAGE.";
const provenanceKeys = [
  "disabled",
  "mode",
  "version",
  "builder-id",
  "reproducible",
  "filename",
  "inline-only",
];

/** The flags that ask for attestations. */
export interface AttestFlags {
  /** `true`, `false`, or fields. */
  readonly provenance?: string | undefined;
  readonly sbom?: string | undefined;
  /** Each `type=provenance|sbom` and fields. */
  readonly attest?: readonly string[] | undefined;
}

/** Reads `--provenance`, `--sbom` and `--attest`. Throws `ERR_KILN_INVALID_ARGUMENT` with what is allowed. */
export function parseAttestations(flags: AttestFlags): AttestationOptions | undefined {
  let provenance: AttestationOptions["provenance"];
  let sbom: AttestationOptions["sbom"];
  const once = (flag: string, told: unknown, kind: string): void => {
    if (told !== undefined) throw wrongFlag(flag, `${kind} is asked for twice`, hint);
  };
  if (flags.provenance !== undefined) provenance = provenanceOf("--provenance", flags.provenance);
  if (flags.sbom !== undefined) sbom = sbomOf("--sbom", flags.sbom);
  for (const text of flags.attest ?? []) {
    const fields = new Map(specMap("--attest", text, hint));
    const type = fields.get("type");
    fields.delete("type");
    if (type === "provenance") {
      once("--attest", provenance, type);
      provenance = provenanceFields("--attest", fields);
    } else if (type === "sbom") {
      once("--attest", sbom, type);
      sbom = sbomFields("--attest", fields);
    } else {
      const why = type === undefined ? "it has no type" : `there is no type "${type}"`;
      throw wrongFlag("--attest", why, "Types: provenance, sbom.");
    }
  }
  return provenance === undefined && sbom === undefined ? undefined : { provenance, sbom };
}

function provenanceOf(flag: string, text: string): AttestationOptions["provenance"] {
  return flagValue(text) ?? provenanceFields(flag, specMap(flag, text, hint));
}

function sbomOf(flag: string, text: string): AttestationOptions["sbom"] {
  return flagValue(text) ?? sbomFields(flag, specMap(flag, text, hint));
}

function provenanceFields(
  flag: string,
  fields: ReadonlyMap<string, string>,
): AttestationOptions["provenance"] {
  onlyKeys(flag, fields, provenanceKeys);
  if (flagOf(flag, fields, "disabled") === true) return false;
  return {
    // Checked by the option itself, which knows the words.
    mode: fields.get("mode") as Provenance["mode"],
    version: fields.get("version") as Provenance["version"],
    builderId: fields.get("builder-id"),
    reproducible: flagOf(flag, fields, "reproducible"),
    filename: fields.get("filename"),
    inlineOnly: flagOf(flag, fields, "inline-only"),
  };
}

function sbomFields(flag: string, fields: ReadonlyMap<string, string>): AttestationOptions["sbom"] {
  if (flagOf(flag, fields, "disabled") === true) return false;
  const { generator, disabled: _disabled, ...parameters } = Object.fromEntries(fields);
  return { generator, parameters };
}

function flagOf(flag: string, fields: ReadonlyMap<string, string>, key: string): boolean | undefined {
  const text = fields.get(key);
  if (text === undefined) return undefined;
  const value = flagValue(text);
  if (value === undefined) throw wrongFlag(flag, `${key} is neither true nor false`, `Write ${key}=true.`);
  return value;
}

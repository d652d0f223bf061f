import { checkOptions } from "../../internal/check-options.js";
import { checkChoice, checkFlag, checkName, checkRecord, wrongArgument } from "../../llb/check-argument.js";

/** How a provenance attestation is made: what the build was made of and how. */
export interface ProvenanceOptions {
  /** `max` adds the definition and all sources, secrets' names included. Default `max`. */
  readonly mode?: "min" | "max" | undefined;
  /** Of the SLSA predicate. `v1` needs BuildKit 0.23. Default the daemon's. */
  readonly version?: "v0.2" | "v1" | undefined;
  /** URI of who builds. */
  readonly builderId?: string | undefined;
  /** Says that the build is reproducible. Default false. */
  readonly reproducible?: boolean | undefined;
  /** Name of the file in outputs without attestation manifests. Default `provenance.json`. */
  readonly filename?: string | undefined;
  /** Leaves it out of outputs other than images. Default false. */
  readonly inlineOnly?: boolean | undefined;
}

/** How a bill of materials is made: a scanner image runs over the result. */
export interface SbomOptions {
  /** The scanner's image. Default BuildKit's own. */
  readonly generator?: string | undefined;
  /** More parameters of the scanner. */
  readonly parameters?: Readonly<Record<string, string>> | undefined;
}

/** Attestations that the daemon makes of a build. */
export interface AttestationOptions {
  /** `true` = with defaults. */
  readonly provenance?: boolean | ProvenanceOptions | undefined;
  /** `true` = with defaults. */
  readonly sbom?: boolean | SbomOptions | undefined;
}

/**
 * The attributes by which a solve asks for attestations (`attest:provenance`, `attest:sbom`).
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function attestationAttrs(options: AttestationOptions | undefined): Record<string, string> {
  if (options === undefined) return {};
  const call = "attestations";
  checkOptions(call, options, ["provenance", "sbom"]);
  const attrs: Record<string, string> = {};
  const { provenance, sbom } = options;
  if (provenance !== undefined && provenance !== false) {
    attrs["attest:provenance"] = fieldsText(provenanceFields(provenance === true ? {} : provenance));
  }
  if (sbom !== undefined && sbom !== false) {
    attrs["attest:sbom"] = fieldsText(sbomFields(sbom === true ? {} : sbom));
  }
  return attrs;
}

type Fields = readonly (readonly [key: string, value: string])[];

function provenanceFields(options: ProvenanceOptions): Fields {
  const call = "attestations.provenance";
  checkOptions(call, options, ["mode", "version", "builderId", "reproducible", "filename", "inlineOnly"]);
  const fields: (readonly [string, string])[] = [
    ["mode", checkChoice(call, "mode", options.mode ?? "max", ["min", "max"])],
  ];
  if (options.version !== undefined) {
    fields.push(["version", checkChoice(call, "version", options.version, ["v0.2", "v1"])]);
  }
  if (options.builderId !== undefined) {
    fields.push(["builder-id", checkName(call, "builderId", options.builderId)]);
  }
  if (checkFlag(call, "reproducible", options.reproducible)) fields.push(["reproducible", "true"]);
  if (options.filename !== undefined) {
    fields.push(["filename", checkName(call, "filename", options.filename)]);
  }
  if (checkFlag(call, "inlineOnly", options.inlineOnly)) fields.push(["inline-only", "true"]);
  return fields;
}

function sbomFields(options: SbomOptions): Fields {
  const call = "attestations.sbom";
  checkOptions(call, options, ["generator", "parameters"]);
  const parameters = checkRecord(call, "parameters", options.parameters ?? {});
  for (const [key] of parameters) {
    if (key === "" || key === "generator" || /[=,"]/.test(key)) {
      throw wrongArgument(call, `parameters has the key ${JSON.stringify(key)}`, "Use a plain name.");
    }
  }
  return options.generator === undefined
    ? parameters
    : [["generator", checkName(call, "generator", options.generator)], ...parameters];
}

/** One line of comma-separated values, quoted as the daemon reads them (RFC 4180). */
function fieldsText(fields: Fields): string {
  return fields
    .map(([key, value]) => `${key}=${value}`)
    .map((field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field))
    .join(",");
}

import type { Annotation } from "../engine/command-line.js";
import {
  dockerImage,
  dockerTar,
  filesTar,
  localDir,
  type Output,
  ociLayout,
  ociTar,
  registry,
} from "../engine/outputs.js";
import { KilnError } from "../errors.js";

const kinds = ["registry", "docker-image", "oci", "oci-tar", "docker", "local", "tar"] as const;
type Kind = (typeof kinds)[number];

const layerKeys = ["compression", "compression-level", "force-compression", "oci-mediatypes"];
const allowed: Readonly<Record<Kind, readonly string[]>> = {
  registry: ["name", "push-by-digest", "registry.insecure", ...layerKeys],
  "docker-image": ["name", ...layerKeys],
  oci: ["dest", "name", ...layerKeys],
  "oci-tar": ["dest", "name", ...layerKeys],
  docker: ["dest", "name", ...layerKeys],
  local: ["dest"],
  tar: ["dest"],
};

/**
 * Reads one `--output`, an image with these annotations: `oci:./out`, `registry:localhost:5000/app:1`, or buildx's `type=oci,dest=./out`.
 *
 * `oci` with a destination ending in `.tar` is a tar, else a layout directory. Throws
 * `ERR_KILN_INVALID_ARGUMENT` with what would be right.
 */
export function parseOutput(text: string, annotations: readonly Annotation[] = []): Output {
  const short = /^([a-z-]+):(.+)$/.exec(text);
  const fields = short !== null && !text.includes("type=") ? shortForm(text, short) : longForm(text);
  const kind = fields.get("type");
  if (!isKind(kind)) {
    throw wrong(text, kind === undefined ? "it has no type" : `there is no type "${kind}"`, kindHint);
  }
  for (const key of fields.keys()) {
    if (key === "type" || allowed[kind].includes(key)) continue;
    throw wrong(text, `type=${kind} has no key "${key}"`, `It takes: ${allowed[kind].join(", ")}.`);
  }
  return makeOutput(text, kind, fields, annotations);
}

const kindHint = `Types: ${kinds.join(", ")}. E.g. -o oci:./out or -o type=registry,name=localhost:5000/app:1.`;

function shortForm(text: string, match: RegExpExecArray): Map<string, string> {
  const [, kind = "", rest = ""] = match;
  if (!isKind(kind)) throw wrong(text, `there is no type "${kind}"`, kindHint);
  return new Map([
    ["type", kind],
    [kind === "registry" || kind === "docker-image" ? "name" : "dest", rest],
  ]);
}

function longForm(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const part of text.split(",")) {
    const equals = part.indexOf("=");
    if (equals < 0 && !text.includes("=")) {
      fields.set("type", "local").set("dest", part);
      continue;
    }
    if (equals < 1) throw wrong(text, `"${part}" is no key=value`, kindHint);
    fields.set(part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1));
  }
  return fields;
}

function makeOutput(
  text: string,
  kind: Kind,
  fields: ReadonlyMap<string, string>,
  annotations: readonly Annotation[],
): Output {
  const need = (key: string): string => {
    const value = fields.get(key);
    if (value === undefined || value === "") throw wrong(text, `type=${kind} needs ${key}=…`, kindHint);
    return value;
  };
  const flag = (key: string): boolean | undefined => {
    const value = fields.get(key);
    if (value === undefined) return undefined;
    if (value === "true" || value === "1" || value === "") return true;
    if (value === "false" || value === "0") return false;
    throw wrong(text, `${key} must be true or false`, undefined);
  };
  const level = fields.get("compression-level");
  const layers = {
    // Checked by the output itself, which knows the names.
    compression: fields.get("compression") as "gzip" | undefined,
    compressionLevel: level === undefined ? undefined : Number(level),
    forceCompression: flag("force-compression"),
    ociMediaTypes: flag("oci-mediatypes"),
    annotations: annotations.length === 0 ? undefined : annotations,
  };
  const name = fields.get("name");
  switch (kind) {
    case "registry":
      return registry(need("name").split(";"), {
        ...layers,
        insecure: flag("registry.insecure"),
        pushByDigest: flag("push-by-digest"),
      });
    case "oci":
      return need("dest").endsWith(".tar")
        ? ociTar(need("dest"), { ...layers, name })
        : ociLayout(need("dest"), { ...layers, name });
    case "oci-tar":
      return ociTar(need("dest"), { ...layers, name });
    case "docker-image":
      return dockerImage(need("name").split(";"), layers);
    case "docker":
      // As buildx has it: without a destination, into Docker itself.
      if (!fields.has("dest") && name !== undefined) return dockerImage(name.split(";"), layers);
      return dockerTar(need("dest"), { ...layers, name });
    case "local":
      return localDir(need("dest"));
    case "tar":
      return filesTar(need("dest"));
    default:
      return kind satisfies never;
  }
}

function isKind(kind: string | undefined): kind is Kind {
  return (kinds as readonly (string | undefined)[]).includes(kind);
}

function wrong(text: string, why: string, hint: string | undefined): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", `--output ${text}: ${why}`, { hint });
}

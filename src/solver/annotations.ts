import { checkOptions } from "../internal/check-options.js";
import { checkChoice, checkName, checkText } from "../llb/check-argument.js";
import { formatPlatform, type Platform } from "../oci/platform.js";

/** An OCI annotation and where it goes. */
export interface Annotation {
  readonly key: string;
  readonly value: string;
  /** What carries it. Default `manifest`. The other three need OCI media types. */
  readonly on?: "manifest" | "index" | "manifest-descriptor" | "index-descriptor" | undefined;
  /** The image of one platform alone; default those of all. */
  readonly platform?: Platform | undefined;
}

/** Annotations of an image: keys and values for its manifests, or a list that says where each goes. */
export type Annotations = Readonly<Record<string, string>> | readonly Annotation[];

/**
 * The exporter's attributes for annotations (`annotation[-index|…][[platform]].key`).
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` and `ERR_KILN_UNKNOWN_OPTION`.
 */
export function annotationAttrs(call: string, annotations: Annotations): Record<string, string> {
  const list = Array.isArray(annotations)
    ? (annotations as readonly Annotation[])
    : Object.entries(annotations).map(([key, value]): Annotation => ({ key, value: String(value) }));
  const attrs: Record<string, string> = {};
  for (const [index, annotation] of list.entries()) {
    const name = `annotations[${index}]`;
    checkOptions(`${call} ${name}`, annotation, ["key", "value", "on", "platform"]);
    const on = checkChoice(call, `${name}.on`, annotation.on ?? "manifest", [
      ...(["manifest", "index", "manifest-descriptor", "index-descriptor"] as const),
    ]);
    const platform = annotation.platform === undefined ? "" : `[${formatPlatform(annotation.platform)}]`;
    const key = checkName(call, `${name}.key`, annotation.key);
    attrs[`annotation-${on}${platform}.${key}`] = checkText(call, `${name}.value`, annotation.value);
  }
  return attrs;
}

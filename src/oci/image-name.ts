import { KilnError, type KilnErrorOptions } from "../errors.js";

/** The name that an image is published under in a store of images. */
export interface ImageName {
  readonly name: string;
  /** `latest` when none was written. */
  readonly tag: string;
  /** `name:tag`. */
  readonly text: string;
}

const part = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * Reads `name` or `name:tag`. Modal's rules: each has at most 64 letters, digits, `-`, `_` and `.`; names that read like
 * Modal's ids (`im-…`, `ap-` and 22 letters or digits) are refused, and `sha256`, which would read like a digest.
 *
 * Throws `ERR_KILN_INVALID_REFERENCE`; `options` are put into that error.
 */
export function parseImageName(text: string, options: KilnErrorOptions = {}): ImageName {
  const fail = (why: string, hint?: string): KilnError =>
    new KilnError("ERR_KILN_INVALID_REFERENCE", `not a name for an image: ${shown(text)}: ${why}`, {
      hint: hint ?? "Write it like my-image or my-image:v2.",
      ...options,
    });
  if (typeof text !== "string" || text === "") throw fail("it is empty");
  if (text.includes("/")) {
    throw fail("it has a slash", "Published images have plain names: no registry, owner or environment.");
  }
  const colon = text.indexOf(":");
  const name = colon < 0 ? text : text.slice(0, colon);
  const tag = colon < 0 ? "latest" : text.slice(colon + 1);
  for (const [what, value] of [
    ["the name", name],
    ["the tag", tag],
  ] as const) {
    if (value === "") throw fail(`${what} is empty`);
    if (value.length > 64) throw fail(`${what} has more than 64 characters`);
    if (!part.test(value)) throw fail(`${what} may only have letters, digits, "-", "_" and "."`);
  }
  if (name.startsWith("im-") || /^ap-[A-Za-z0-9]{22}$/.test(name)) {
    throw fail("it reads like an id of Modal's", 'Choose a name that does not begin with "im-" or "ap-".');
  }
  if (name === "sha256") throw fail("it reads like a digest", "Choose another name than sha256.");
  return { name, tag, text: `${name}:${tag}` };
}

function shown(text: unknown): string {
  return typeof text === "string" ? JSON.stringify(text.slice(0, 200)) : typeof text;
}

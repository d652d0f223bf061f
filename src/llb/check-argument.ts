import { type CallSite, KilnError, type KilnErrorCode } from "../errors.js";
import { captureCallSite } from "../internal/call-site.js";
import { type Digest, isDigest } from "../oci/digest.js";

// A NUL ends a C string, and half a surrogate pair has no UTF-8 form: the daemon could read neither.
const unsendable = /[\0\p{Surrogate}]/u;

/** The error for a call with a wrong argument: code, what is wrong, what to do, and the user's call site. */
export function wrongArgument(
  call: string,
  problem: string,
  hint: string,
  code: KilnErrorCode = "ERR_KILN_INVALID_ARGUMENT",
): KilnError {
  const location: CallSite | undefined = captureCallSite();
  return new KilnError(code, `${call}: ${problem}`, { hint, location });
}

/** The value, if it is a string that can be sent. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkText(call: string, name: string, value: unknown): string {
  if (typeof value !== "string")
    throw wrongArgument(call, `${name} must be a string`, `Pass ${name} as a string.`);
  if (unsendable.test(value)) {
    throw wrongArgument(
      call,
      `${name} contains a NUL character or half a surrogate pair`,
      "Remove that character.",
    );
  }
  return value;
}

/** The value, if it is a sendable string of at least one character. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkName(call: string, name: string, value: unknown): string {
  const text = checkText(call, name, value);
  if (text === "") throw wrongArgument(call, `${name} is empty`, `Pass ${name}.`);
  return text;
}

/** The value, if it is a sha256 digest. Throws `ERR_KILN_INVALID_DIGEST`. */
export function checkDigest(call: string, name: string, value: unknown): Digest {
  const text = checkText(call, name, value);
  if (isDigest(text)) return text;
  throw wrongArgument(
    call,
    `${name} is no digest: ${JSON.stringify(text.slice(0, 100))}`,
    "A digest reads sha256: and 64 hexadecimal digits in lower case.",
    "ERR_KILN_INVALID_DIGEST",
  );
}

/** A frozen copy, if the value is an array of sendable strings. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkTexts(call: string, name: string, value: unknown): readonly string[] {
  if (!Array.isArray(value)) {
    throw wrongArgument(call, `${name} must be an array of strings`, `Write ${name} as an array.`);
  }
  return Object.freeze(value.map((item, index) => checkText(call, `${name}[${index}]`, item)));
}

/** The value, if it is an integer within bounds. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkInteger(call: string, name: string, value: unknown, min: number, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw wrongArgument(call, `${name} must be an integer from ${min} to ${max}`, `Correct ${name}.`);
}

/** The value, if it is a safe integer or a bigint within bounds. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkBigInteger(
  call: string,
  name: string,
  value: unknown,
  bounds: { readonly min: bigint; readonly max: bigint },
): number | bigint {
  if (typeof value === "bigint" && value >= bounds.min && value <= bounds.max) return value;
  if (typeof value === "number" && Number.isSafeInteger(value) && BigInt(value) >= bounds.min) return value;
  throw wrongArgument(
    call,
    `${name} must be an integer from ${bounds.min} to ${bounds.max}`,
    `Correct ${name}; pass a bigint beyond ${Number.MAX_SAFE_INTEGER}.`,
  );
}

/** The value, if it is `true`, `false` or left out (then `false`). Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkFlag(call: string, name: string, value: unknown): boolean {
  if (value === undefined) return false;
  if (typeof value === "boolean") return value;
  throw wrongArgument(call, `${name} must be true or false`, `Pass ${name} as a boolean.`);
}

/** The value, if it is one of a few words. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkChoice<T extends string>(
  call: string,
  name: string,
  value: unknown,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  const listed = choices.map((choice) => `"${choice}"`).join(", ");
  throw wrongArgument(call, `${name} must be one of ${listed}`, `Pass ${name} as one of these words.`);
}

/** Entries of a plain object of strings, in its own order. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function checkRecord(
  call: string,
  name: string,
  value: unknown,
): readonly (readonly [string, string])[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongArgument(call, `${name} must be an object of strings`, `Write ${name} as { key: "value" }.`);
  }
  return Object.entries(value).map(([key, text]): readonly [string, string] => [
    checkText(call, `a key of ${name}`, key),
    checkText(call, `${name}.${key}`, text),
  ]);
}

import { posix } from "node:path";
import { KilnError, type KilnErrorCode } from "../errors.js";
import { captureCallSite } from "../internal/call-site.js";

/** An error about what the user passed to `call`, with the place of that call. */
export function argumentError(
  call: string,
  why: string,
  options: { readonly hint?: string | undefined; readonly code?: KilnErrorCode | undefined } = {},
): KilnError {
  return new KilnError(options.code ?? "ERR_KILN_INVALID_ARGUMENT", `${call}: ${why}`, {
    hint: options.hint,
    location: captureCallSite(),
  });
}

/**
 * Splits what a variadic method was called with: strings or one list of strings, then maybe options.
 *
 * Throws for anything else, nested lists included.
 */
export function splitVariadic<Options>(
  call: string,
  args: readonly unknown[],
): { readonly items: readonly string[]; readonly options: Options | undefined } {
  const last = args.at(-1);
  const hasOptions = typeof last === "object" && last !== null && !Array.isArray(last);
  const items = (hasOptions ? args.slice(0, -1) : args).flatMap((item) =>
    Array.isArray(item) ? item : [item],
  );
  for (const item of items) {
    if (typeof item === "string") continue;
    throw argumentError(call, `needs strings, got ${describe(item)}`, {
      hint: `Write ${call}("a", "b") or ${call}(["a", "b"]), then options as an object.`,
    });
  }
  return { items: items as string[], options: hasOptions ? (last as Options) : undefined };
}

/** Checks a list of strings, such as an entrypoint; an empty list is allowed. */
export function checkStringList(call: string, value: unknown, example: string): readonly string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === "string" && !item.includes("\0"))) {
    return [...(value as string[])];
  }
  throw argumentError(call, `needs a list of strings, got ${describe(value)}`, {
    hint: `Write ${call}(${example}).`,
  });
}

/** Checks a path inside the image: absolute, cleaned; a trailing slash survives. */
export function checkRemotePath(call: string, value: unknown): string {
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw argumentError(call, `needs a path inside the image, got ${describe(value)}`, {
      hint: `Write an absolute path, e.g. "/app".`,
    });
  }
  if (!value.startsWith("/")) {
    throw argumentError(call, `the path inside the image must be absolute, got "${value}"`, {
      code: "ERR_KILN_RELATIVE_PATH",
      hint: `Did you mean "/${value.replace(/^(\.\/)+/, "")}"?`,
    });
  }
  const clean = posix.normalize(value);
  return clean;
}

/** Checks a path on this machine; whether it exists is for the build to see. */
export function checkLocalPath(
  call: string,
  value: unknown,
  example = '"./src", "/app", { copy: true }',
): string {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
  throw argumentError(call, `needs a path on this machine, got ${describe(value)}`, {
    hint: `Write ${call}(${example}).`,
  });
}

/** A short description of a wrong value for a message. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list with ${describe(value[0])}`;
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}…` : value);
  if (typeof value === "object") return "an object";
  return `${typeof value === "undefined" ? "nothing" : `the ${typeof value} ${String(value)}`}`;
}

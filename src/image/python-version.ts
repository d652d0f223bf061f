import { KilnError } from "../errors.js";
import { type BuilderVersion, isKnownPython } from "./builder-version.js";
import { argumentError, describe } from "./check-args.js";

/**
 * Checks the option `pythonVersion`: a series (`3.12`), a full version (`3.12.4`, `3.15.0rc1`), or `auto`.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT` with the place of the call, for numbers too: 3.10 would be 3.1.
 */
export function checkPythonVersion(call: string, version: unknown): string | undefined {
  if (version === undefined || version === "auto") return version;
  if (typeof version === "number") {
    throw argumentError(call, `the Python version must be a string, got the number ${version}`, {
      hint: `Write "3.12" in quotes: the number 3.10 is 3.1.`,
    });
  }
  if (typeof version !== "string" || !/^3\.\d{1,2}(?:\.\d{1,2}(?:rc\d+)?)?t?$/.test(version)) {
    throw argumentError(call, `no Python version: ${describe(version)}`, {
      hint: 'Write a series ("3.12"), a full version ("3.12.4"), or "auto" for what the project asks for.',
    });
  }
  if (version.endsWith("t")) {
    throw argumentError(call, `there is no base with the free-threaded Python ${version}`, {
      hint: `Add it to another base: Image.fromRegistry("debian:bookworm-slim", { addPython: "${version}" }).`,
    });
  }
  const [, , micro] = version.split(".");
  if (micro === undefined && !isKnownPython(version)) {
    throw argumentError(call, `no pinned Python ${version}`, {
      hint: `Write a full version, e.g. "${version}.0", or start from Image.fromRegistry("python:${version}-slim").`,
    });
  }
  const old = tooOld(version);
  if (old !== undefined) throw argumentError(call, old.why, { hint: old.hint });
  return version;
}

/** The full version of a series, by the epoch's pins; a full version is itself. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function fullPythonVersion(version: string, builder: BuilderVersion): string {
  const old = tooOld(version);
  if (old !== undefined) throw new KilnError("ERR_KILN_INVALID_ARGUMENT", old.why, { hint: old.hint });
  if (version.split(".").length > 2) return version;
  const pinned = builder.pythons[version];
  if (pinned !== undefined) return pinned;
  throw new KilnError(
    "ERR_KILN_INVALID_ARGUMENT",
    `builder version ${builder.id} pins no Python ${version}`,
    {
      hint: `It has ${Object.keys(builder.pythons).join(", ")}; write a full version for another one.`,
    },
  );
}

function tooOld(version: string): { readonly why: string; readonly hint: string } | undefined {
  if (Number(version.split(".")[1]) >= 10) return undefined;
  return {
    why: `Python ${version} is older than what the package tools run on (3.10)`,
    hint: `Start from Image.fromRegistry("python:${version}-slim"), which is that base without them.`,
  };
}

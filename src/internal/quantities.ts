import { KilnError } from "../errors.js";

const milliseconds: Readonly<Record<string, number>> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };

const bytes: Readonly<Record<string, number>> = {
  ...{ "": 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ k: 1e3, m: 1e6, g: 1e9, t: 1e12, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/**
 * Milliseconds of a duration such as `90s`, `1h30m` or `7d`. `flag` names it in errors.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT`.
 */
export function parseDuration(flag: string, text: string): number {
  if (!/^(?:\d+(?:\.\d+)?[smhd])+$/.test(text)) throw wrong(flag, text, "duration", "90s, 1h30m, 24h, 7d");
  let total = 0;
  for (const [, value, unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)) {
    total += Number(value) * (milliseconds[unit] ?? 0);
  }
  return total;
}

/**
 * Bytes of a size such as `500MB`, `2GiB` or `1000`: `kB` is 1000, `KiB` 1024. `flag` names it in errors.
 *
 * Throws `ERR_KILN_INVALID_ARGUMENT`.
 */
export function parseSize(flag: string, text: string): number {
  const [, value, unit = ""] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text) ?? [];
  const factor = bytes[unit.toLowerCase()];
  if (value === undefined || factor === undefined) throw wrong(flag, text, "size", "500MB, 2GiB, 1000");
  return Math.round(Number(value) * factor);
}

/** A number of things above 0. `flag` names it in errors. Throws `ERR_KILN_INVALID_ARGUMENT`. */
export function parseCount(flag: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new KilnError("ERR_KILN_INVALID_ARGUMENT", `${flag} ${text}: not a whole number above 0`, {
    hint: `E.g. ${flag} 10.`,
  });
}

function wrong(flag: string, text: string, what: string, examples: string): KilnError {
  return new KilnError("ERR_KILN_INVALID_ARGUMENT", `${flag} ${text}: not a ${what}`, {
    hint: `Write it like ${examples}.`,
  });
}

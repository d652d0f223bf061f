import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SecretMasks } from "../../../src/session/secret-masks.js";
import { cpuMilliseconds } from "../internal/cpu-time.js";
import { inSoak } from "../internal/long-runs.js";

function masksOf(...values: readonly (string | Uint8Array)[]): SecretMasks {
  const masks = new SecretMasks();
  for (const value of values) masks.add(value);
  return masks;
}

/** What a stream gives of a text that comes in pieces. */
function streamed(masks: SecretMasks, pieces: readonly string[]): string {
  const stream = masks.stream();
  return pieces.map((piece) => stream.push(piece)).join("") + stream.end();
}

/** The same by trying every place: what any value covers becomes one mask a run. */
function masked(values: readonly string[], text: string): string {
  const covered = Array.from({ length: text.length }, () => false);
  for (const value of values) {
    for (let at = text.indexOf(value); at >= 0; at = text.indexOf(value, at + 1)) {
      covered.fill(true, at, at + value.length);
    }
  }
  return [...covered.keys()]
    .map((at) => (covered[at] !== true ? text[at] : covered[at - 1] === true ? "" : "***"))
    .join("");
}

// Two letters, so that values overlap, repeat and begin within one another.
const value = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 4, maxLength: 9 });
const values = fc.array(value, { minLength: 1, maxLength: 4 });
const noise = fc.string({ unit: fc.constantFrom("a", "b", "b", "\n"), maxLength: 12 });

function cut(text: string, at: readonly number[]): readonly string[] {
  const places = [0, ...at.map((place) => place % (text.length + 1)).sort((a, b) => a - b), text.length];
  return places.slice(1).map((end, index) => text.slice(places[index], end));
}

describe("values of secrets in a text", () => {
  it("are masked wherever the text is cut", () => {
    fc.assert(
      fc.property(
        values,
        fc.array(fc.oneof(noise, value)),
        fc.array(fc.nat(1000)),
        fc.array(fc.nat(3)),
        (secrets, parts, places, chosen) => {
          const known = chosen.map((index) => secrets[index] ?? "");
          const text = parts.flatMap((part, index) => [part, known[index] ?? ""]).join("");
          expect(streamed(masksOf(...secrets), cut(text, places))).toBe(masked(secrets, text));
        },
      ),
      { numRuns: inSoak(1000, 3000) },
    );
  });

  it("are masked from when they are known, in what was held back as well", () => {
    fc.assert(
      fc.property(values, values, noise, noise, (before, after, first, second) => {
        const masks = masksOf(...before);
        const stream = masks.stream();
        const given = stream.push(first);
        const { held } = stream;
        for (const one of after) masks.add(one);
        const rest = stream.push(second) + stream.end();
        // A mask that was given out may stand for the beginning of what was held back.
        if (!given.endsWith("***")) expect(rest).toBe(masked([...before, ...after], held + second));
        for (const one of [...before, ...after]) expect(rest).not.toContain(one);
      }),
      { numRuns: inSoak(500, 1000) },
    );
  });

  it("hold back no more than the beginning of one", () => {
    fc.assert(
      fc.property(values, noise, (secrets, text) => {
        const stream = masksOf(...secrets).stream();
        stream.push(text);
        const begins = secrets.flatMap((one) =>
          Array.from({ length: one.length - 1 }, (_, index) => one.slice(0, index + 1)),
        );
        const longest = Math.max(
          0,
          ...begins.filter((one) => text.endsWith(one)).map(({ length }) => length),
        );
        expect(stream.held.length).toBe(longest);
      }),
    );
  });

  it("become three stars, however many follow one another", () => {
    const masks = masksOf("hunter22");
    expect(masks.mask("user=me password=hunter22, again hunter22hunter22; hunter2")).toBe(
      "user=me password=***, again ***; hunter2",
    );
    expect(masks.mask("HUNTER22")).toBe("HUNTER22");
  });

  it("are found line by line, with any end of line and indentation", () => {
    const masks = masksOf("-----BEGIN KEY-----\r\n  line-one  \r\nabc\nline-two\n-----END KEY-----\n");
    const text = "-----BEGIN KEY-----\n> line-one|\nabc\nline-two\r\n-----END KEY-----";
    expect(masks.mask(text)).toBe("-----BEGIN KEY-----\n> ***|\nabc\n***\r\n-----END KEY-----");
  });

  it("are found as URLs and forms have them", () => {
    const secret = "p@ss/w (ö)!";
    const masks = masksOf(secret);
    for (const form of [
      encodeURIComponent(secret),
      new URLSearchParams({ a: secret }).toString().slice(2),
      // Python's quote leaves slashes.
      "p%40ss/w%20%28%C3%B6%29%21",
      secret,
    ]) {
      expect(masks.mask(`<${form}>`), form).toBe("<***>");
    }
    // As base64 they are not: nobody would know what else that is.
    const base64 = Buffer.from(secret).toString("base64");
    expect(masks.mask(base64)).toBe(base64);
  });

  it("are not looked for where they are anybody's words", () => {
    const masks = masksOf(
      "",
      "abc",
      "true",
      "False",
      "NULL",
      "none",
      " \n\n",
      new Uint8Array([255, 254, 253, 252]),
    );
    expect(masks.empty).toBe(true);
    expect(masks.mask("abc true False")).toBe("abc true False");
  });

  it("may be bytes that are no text", () => {
    const bytes = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from("binary"), Buffer.from([0x80])]);
    const printed = new TextDecoder().decode(Buffer.concat([Buffer.from("<"), bytes, Buffer.from(">")]));
    expect(masksOf(bytes).mask(printed)).toBe("<***>");
  });

  it("take time in proportion to the text, whatever it is", () => {
    // The worst for a search that begins anew at every place.
    const masks = masksOf(
      `${"a".repeat(100_000)}b`,
      ...Array.from({ length: 500 }, (_, index) => `aaaa${index}`),
    );
    const text = "a".repeat(1024 * 1024);
    const stream = masks.stream();
    const took = cpuMilliseconds(() => {
      for (let at = 0; at < text.length; at += 1000) stream.push(text.slice(at, at + 1000));
      stream.end();
    });
    expect(took).toBeLessThan(3000);
  });
});

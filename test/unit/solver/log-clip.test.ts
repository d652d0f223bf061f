import { describe, expect, it } from "vitest";
import { ClipFinder, type LogPiece } from "../../../src/solver/log-clip.js";

const marker = "\n[output clipped, log limit 2MiB reached]\n";
const twoMiB = 2 * 1024 * 1024;

/** Pieces of a stream whose texts come after `before` bytes, neighbouring texts joined. */
function find(texts: readonly string[], before = twoMiB): readonly LogPiece[] {
  const finder = new ClipFinder();
  let received = before;
  const pieces = texts.flatMap((text) => {
    received += Buffer.byteLength(text);
    return finder.push(text, received);
  });
  const joined: LogPiece[] = [];
  for (const piece of [...pieces, finder.end()]) {
    const last = joined.at(-1);
    if (typeof piece === "string" && typeof last === "string") joined[joined.length - 1] = last + piece;
    else if (piece !== "") joined.push(piece);
  }
  return joined;
}

describe("the daemon's clip marker", () => {
  it.each([
    ["2MiB", { limit: "size", limitBytes: twoMiB }],
    ["200KiB/s", { limit: "speed", limitBytes: 200 * 1024 }],
    ["1000B", { limit: "size", limitBytes: 1000 }],
    ["1.430511474609375MiB", { limit: "size", limitBytes: 1_500_000 }],
    ["0B/s", { limit: "speed", limitBytes: 0 }],
  ])("of %s is taken out of the text, in its place", (limit, clip) => {
    expect(find([`cut li\n[output clipped, log limit ${limit} reached]\nnext\n`])).toEqual([
      "cut li\n",
      clip,
      "next\n",
    ]);
  });

  it("is found wherever it is split", () => {
    const text = `a\nb${marker}c\n`;
    const expected = ["a\nb\n", { limit: "size", limitBytes: twoMiB }, "c\n"];
    for (let cut = 0; cut <= text.length; cut += 1) {
      expect(find([text.slice(0, cut), text.slice(cut)])).toEqual(expected);
    }
    expect(find([...text])).toEqual(expected);
  });

  it("is found each time it comes", () => {
    const clip = { limit: "size", limitBytes: twoMiB };
    expect(find([`a${marker}b${marker}`, `${marker}`])).toEqual(["a\n", clip, "b\n", clip, "\n", clip]);
  });

  it.each([
    ["in the middle of a line", "x [output clipped, log limit 2MiB reached]\n"],
    ["with more on its line", "\n[output clipped, log limit 2MiB reached] or so\n"],
    ["at the beginning of a stream", "[output clipped, log limit 2MiB reached]\n"],
    ["without a unit", "\n[output clipped, log limit 2 reached]\n"],
    ["with another unit", "\n[output clipped, log limit 2MB reached]\n"],
    ["that names no whole bytes", "\n[output clipped, log limit 1.3KiB reached]\n"],
    ["in colour", "\n\u001b[31m[output clipped, log limit 2MiB reached]\u001b[0m\n"],
    ["without an end", "\n[output clipped, log limit 2MiB reached]"],
    ["with carriage returns", "\r\n[output clipped, log limit 2MiB reached]\r\n"],
    ["that is too long", `\n[output clipped, log limit 2.${"0".repeat(80)}MiB reached]\n`],
    ["of a lone bracket", "a\n["],
  ])("is not what a program prints %s", (_title, text) => {
    expect(find([text])).toEqual([text]);
    expect(find([...text])).toEqual([text]);
  });

  it("is not what a program prints before the limit can have been reached", () => {
    const text = `a${marker}b`;
    expect(find([text], 0)).toEqual([text]);
    expect(find([text], twoMiB - text.length - 1)).toEqual([text]);
    expect(find([text], twoMiB - text.length)).toHaveLength(3);
  });

  it("holds back nothing but what may become one", () => {
    const finder = new ClipFinder();
    expect(finder.push("line\n", 5)).toEqual(["line\n"]);
    expect(finder.push("[##  ]", 11)).toEqual(["[##  ]"]);
    expect(finder.push("\n[out", 16)).toEqual(["\n"]);
    expect(finder.held).toBe("[out");
    expect(finder.push("er]", 19)).toEqual(["[outer]"]);
  });
});

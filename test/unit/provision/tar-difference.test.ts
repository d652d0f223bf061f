import { Readable } from "node:stream";
import { extract, pack } from "tar-stream";
import { expect, it } from "vitest";
import { tarDifference } from "../../../src/provision/tar-difference.js";

interface Entry {
  readonly name: string;
  readonly text?: string;
  readonly mode?: number;
  readonly linkname?: string;
}

function tarOf(entries: readonly Entry[]): Readable {
  const tar = pack();
  for (const { name, text, mode, linkname } of entries) {
    const mtime = new Date(0);
    if (linkname !== undefined) tar.entry({ name, type: "symlink", linkname, mtime });
    else if (text === undefined) tar.entry({ name, type: "directory", mtime, mode: mode ?? 0o755 });
    else tar.entry({ name, mtime, mode: mode ?? 0o644 }, text);
  }
  tar.finalize();
  return Readable.from(tar);
}

/** Paths with their type, mode and content. */
async function difference(base: readonly Entry[], whole: readonly Entry[]): Promise<string[]> {
  const reader = extract();
  (await tarDifference(tarOf(base), tarOf(whole))).pipe(reader);
  const found: string[] = [];
  for await (const entry of reader) {
    const { name, type, mode = 0, linkname } = entry.header;
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found.push(`${name} ${type} ${mode.toString(8)} ${linkname ?? Buffer.concat(chunks).toString()}`);
  }
  return found;
}

const base = [
  { name: "./" },
  { name: "./etc/" },
  { name: "./etc/same", text: "same" },
  { name: "./etc/mode", text: "mode" },
  { name: "./etc/text", text: "one" },
  { name: "./etc/link", linkname: "same" },
];

it("has what is new, of another content, mode, target or type", async () => {
  const whole = [
    ...base.slice(0, 3),
    { name: "./etc/mode", text: "mode", mode: 0o600 },
    { name: "./etc/text", text: "two" },
    { name: "./etc/link", linkname: "mode" },
    { name: "./new/" },
    { name: "./new/file", text: "new" },
  ];
  expect(await difference(base, whole)).toEqual([
    "./etc/mode file 600 mode",
    "./etc/text file 644 two",
    "./etc/link symlink 644 mode",
    "./new/ directory 755 ",
    "./new/file file 644 new",
  ]);
  expect(await difference(base, [...base.slice(0, 5), { name: "./etc/link", text: "same" }])).toEqual([
    "./etc/link file 644 same",
  ]);
  expect(await difference(base, base)).toEqual([]);
});

it("hides what is gone, a directory with all below it", async () => {
  const more = [...base, { name: "./var/" }, { name: "./var/lib/" }, { name: "./var/lib/x", text: "x" }];
  expect(await difference(more, base.slice(0, 5))).toEqual(["etc/.wh.link file 644 ", ".wh.var file 644 "]);
});

it("rejects, or fails its stream, for tars that are broken", async () => {
  const broken = (): Readable => Readable.from([Buffer.alloc(512, 7)]);
  await expect(tarDifference(broken(), tarOf(base))).rejects.toThrow(/tar/i);
  await expect((await tarDifference(tarOf(base), broken())).toArray()).rejects.toThrow(/tar/i);
});

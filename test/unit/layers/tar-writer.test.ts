import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { extract, type Header } from "tar-stream";
import { expect, test } from "vitest";
import { LayerSink } from "../../../src/layers/layer-sink.js";
import { type TarMember, TarType, TarWriter } from "../../../src/layers/tar-writer.js";
import { temporaryDirectory } from "../fsutil/temporary-tree.js";

interface Given extends Partial<Omit<TarMember, "name" | "linkname">> {
  readonly name: string;
  readonly linkname?: string;
  readonly content?: string;
}

const seconds = 315_532_802;

function tar(members: readonly Given[], ended = true): Buffer {
  const path = join(temporaryDirectory(), "tar");
  const descriptor = openSync(path, "w");
  const sink = new LayerSink(descriptor, "uncompressed");
  const writer = new TarWriter(sink);
  for (const { content = "", ...given } of members) {
    writer.header({
      type: TarType.FILE,
      mode: 0o644,
      size: content.length,
      seconds,
      nanoseconds: 0,
      devmajor: 0,
      devminor: 0,
      xattrs: undefined,
      ...given,
      name: Buffer.from(given.name),
      linkname: Buffer.from(given.linkname ?? ""),
    });
    sink.write(Buffer.from(content));
    writer.pad(content.length);
  }
  if (ended) writer.end();
  sink.finish();
  closeSync(descriptor);
  return readFileSync(path);
}

/** What every header has in the same places, and what stands for it below. */
const fixed = [
  ["0000000[1]0000000[1]", "(root)"],
  ["ustar[1]00[64]0000000[1]0000000[168]", "(ustar)"],
  ["02263523002[1]", "(1980)"],
] as const;

/** Blocks as lines: text as it is, runs of zeros as their number in brackets, of one letter as their number in braces. */
function shown(bytes: Buffer): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 512) {
    const line = bytes
      .toString("latin1", at, at + 512)
      .replace(/\0+/g, (zeros) => `[${zeros.length}]`)
      .replace(/([a-z])\1{9,}/g, (run) => `${run[0]}{${run.length}}`)
      .replaceAll("\n", "\\n");
    lines.push(fixed.reduce((text, [from, to]) => text.replace(from, to), line));
  }
  return lines;
}

test("headers are ustar, byte for byte", () => {
  const bytes = tar([
    { name: "app", type: TarType.DIRECTORY, mode: 0o755 },
    { name: "app/hello.txt", content: "hello" },
    { name: "app/tool", mode: 0o6755, content: "" },
    { name: "app/link", type: TarType.SYMLINK, mode: 0o777, linkname: "../etc" },
    { name: "app/same", type: TarType.HARD_LINK, linkname: "app/hello.txt" },
    { name: "app/null", type: TarType.CHARACTER_DEVICE, mode: 0o666, devmajor: 1, devminor: 3 },
    { name: "app/disk", type: TarType.BLOCK_DEVICE, mode: 0o660, devmajor: 8, devminor: 17 },
    { name: "app/pipe", type: TarType.FIFO, mode: 0o1600 },
  ]);
  expect(shown(bytes)).toEqual([
    "app/[96]0000755[1](root)00000000000[1](1980)010016[1] 5[100](ustar)",
    "app/hello.txt[87]0000644[1](root)00000000005[1](1980)011655[1] 0[100](ustar)",
    "hello[507]",
    "app/tool[92]0006755[1](root)00000000000[1](1980)010715[1] 0[100](ustar)",
    "app/link[92]0000777[1](root)00000000000[1](1980)011604[1] 2../etc[94](ustar)",
    "app/same[92]0000644[1](root)00000000000[1](1980)013277[1] 1app/hello.txt[87](ustar)",
    "app/null[92]0000666[1](root)00000000000[1](1980)010714[1] 3[100]ustar[1]00[64]0000001[1]0000003[168]",
    "app/disk[92]0000660[1](root)00000000000[1](1980)010667[1] 4[100]ustar[1]00[64]0000010[1]0000021[168]",
    "app/pipe[92]0001600[1](root)00000000000[1](1980)010663[1] 6[100](ustar)",
    "[512]",
    "[512]",
  ]);
});

test("long names are parted at a slash where that fits, else they get a pax header", () => {
  const hundred = "d".repeat(100);
  const bytes = tar(
    [
      { name: hundred },
      { name: `${"d".repeat(99)}`, type: TarType.DIRECTORY },
      { name: hundred, type: TarType.DIRECTORY },
      { name: `${"p".repeat(155)}/${hundred}` },
      { name: `${"p".repeat(156)}/name` },
      { name: `a/${"n".repeat(101)}` },
    ],
    false,
  );
  expect(shown(bytes)).toEqual([
    "d{100}0000644[1](root)00000000000[1](1980)032646[1] 0[100](ustar)",
    "d{99}/0000644[1](root)00000000000[1](1980)032566[1] 5[100](ustar)",
    "PaxHeader[91]0000644[1](root)00000000157[1]00000000000[1]011104[1] x[100](ustar)",
    "111 path=d{100}/\\n[401]",
    "d{100}0000644[1](root)00000000000[1](1980)032653[1] 5[100](ustar)",
    "d{100}0000644[1](root)00000000000[1](1980)074566[1] 0[100]ustar[1]00[64]0000000[1]0000000[1]p{155}[12]",
    "PaxHeader[91]0000644[1](root)00000000253[1]00000000000[1]011101[1] x[100](ustar)",
    "171 path=p{156}/name\\n[341]",
    "p{100}0000644[1](root)00000000000[1](1980)035126[1] 0[100](ustar)",
    "PaxHeader[91]0000644[1](root)00000000161[1]00000000000[1]011077[1] x[100](ustar)",
    "113 path=a/n{101}\\n[399]",
    "a/n{98}0000644[1](root)00000000000[1](1980)034502[1] 0[100](ustar)",
  ]);
});

test("pax headers have names and targets that are not ASCII, attributes, fractions of seconds and 8 GiB", () => {
  const bytes = tar(
    [
      { name: "grün" },
      { name: "l", type: TarType.SYMLINK, mode: 0o777, linkname: "ü" },
      { name: "l", type: TarType.SYMLINK, mode: 0o777, linkname: "t".repeat(101) },
      { name: "8g", size: 8 * 1024 ** 3 },
      { name: "8g-1", size: 8 * 1024 ** 3 - 1 },
      { name: "t", seconds: 1, nanoseconds: 500_000_000 },
      { name: "t", seconds: -2, nanoseconds: 250_000_000 },
      { name: "t", seconds: -7, nanoseconds: 0 },
      {
        name: "x",
        xattrs: new Map([
          ["user.b", Buffer.from("=\n\0")],
          ["security.capability", Buffer.from("ca\0\0p")],
        ]),
      },
    ],
    false,
  );
  expect(shown(bytes)).toEqual([
    "PaxHeader[91]0000644[1](root)00000000016[1]00000000000[1]011076[1] x[100](ustar)",
    "14 path=gr\xc3\xbcn\\n[498]",
    "gr??n[95]0000644[1](root)00000000000[1](1980)010133[1] 0[100](ustar)",
    "PaxHeader[91]0000644[1](root)00000000017[1]00000000000[1]011077[1] x[100](ustar)",
    "15 linkpath=\xc3\xbc\\n[497]",
    "l[99]0000777[1](root)00000000000[1](1980)007611[1] 2??[98](ustar)",
    "PaxHeader[91]0000644[1](root)00000000163[1]00000000000[1]011101[1] x[100](ustar)",
    "115 linkpath=t{101}\\n[397]",
    "l[99]0000777[1](root)00000000000[1](1980)036133[1] 2t{100}(ustar)",
    "PaxHeader[91]0000644[1](root)00000000023[1]00000000000[1]011074[1] x[100](ustar)",
    "19 size=8589934592\\n[493]",
    "8g[98]0000644[1](root)00000000000[1](1980)007465[1] 0[100](ustar)",
    "8g-1[96]0000644[1](root)77777777777[1](1980)007740[1] 0[100](ustar)",
    "PaxHeader[91]0000644[1](root)00000000015[1]00000000000[1]011075[1] x[100](ustar)",
    "13 mtime=1.5\\n[499]",
    "t[99]0000644[1](root)00000000000[1]00000000000[1]007361[1] 0[100](ustar)",
    "PaxHeader[91]0000644[1](root)00000000017[1]00000000000[1]011077[1] x[100](ustar)",
    "15 mtime=-1.75\\n[497]",
    "t[99]0000644[1](root)00000000000[1]00000000000[1]007361[1] 0[100](ustar)",
    "PaxHeader[91]0000644[1](root)00000000014[1]00000000000[1]011074[1] x[100](ustar)",
    "12 mtime=-7\\n[500]",
    "t[99]0000644[1](root)00000000000[1]00000000000[1]007361[1] 0[100](ustar)",
    "PaxHeader[91]0000644[1](root)00000000105[1]00000000000[1]011075[1] x[100](ustar)",
    "42 SCHILY.xattr.security.capability=ca[2]p\\n27 SCHILY.xattr.user.b==\\n[1]\\n[443]",
    "x[99]0000644[1](root)00000000000[1](1980)007416[1] 0[100](ustar)",
  ]);
});

test("another reader reads what was written", async () => {
  const long = `${"deep/".repeat(60)}ünï/file`;
  const xattrs = new Map([["user.note", Buffer.from("line\nwith = sign")]]);
  const headers = await read(
    tar([
      { name: long, content: "long" },
      { name: "s", type: TarType.SYMLINK, mode: 0o777, linkname: long },
      { name: "x".repeat(300), mode: 0o4711, content: "x".repeat(600), xattrs },
    ]),
  );
  expect(headers.map(({ name, linkname, size, mode }) => ({ name, linkname, size, mode }))).toEqual([
    { name: long, linkname: null, size: 4, mode: 0o644 },
    { name: "s", linkname: long, size: 0, mode: 0o777 },
    { name: "x".repeat(300), linkname: null, size: 600, mode: 0o4711 },
  ]);
  expect(Reflect.get(headers[2]?.pax ?? {}, "SCHILY.xattr.user.note")).toBe("line\nwith = sign");
  expect(headers.map(({ uid, gid, uname, gname }) => [uid, gid, uname, gname])).toEqual(
    Array.from({ length: 3 }, () => [0, 0, "", ""]),
  );
});

test("attributes that no reader could take are refused", () => {
  const name = "dir/file";
  expect(() => tar([{ name, xattrs: new Map([["user.a=b", Buffer.from("x")]]) }])).toThrow(
    expect.objectContaining({ code: "ERR_KILN_UNSUPPORTED", message: expect.stringContaining(name) }),
  );
  expect(() => tar([{ name, xattrs: new Map([["user.a", Buffer.alloc(1024 * 1024)]]) }])).toThrow(
    expect.objectContaining({ code: "ERR_KILN_LIMIT_EXCEEDED", message: expect.stringContaining(name) }),
  );
});

async function read(bytes: Buffer): Promise<Header[]> {
  const headers: Header[] = [];
  const reader = extract();
  Readable.from([bytes]).pipe(reader);
  for await (const member of reader) {
    headers.push(member.header);
    member.resume();
  }
  return headers;
}

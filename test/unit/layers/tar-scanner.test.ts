import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TarFault, TarScanner } from "../../../src/layers/tar-scanner.js";
import { ending, header, tarOf } from "./tar-bytes.js";

/** What is wrong with some bytes, handed over in pieces; `undefined` for a whole tar. */
function faultIn(bytes: Uint8Array, piece = bytes.length): TarFault | undefined {
  const scanner = new TarScanner();
  try {
    for (let at = 0; at < bytes.length; at += piece) scanner.push(bytes.subarray(at, at + piece));
    scanner.end();
    return undefined;
  } catch (error) {
    if (error instanceof TarFault) return error;
    throw error;
  }
}

const data = (size: number): Buffer => Buffer.alloc(Math.ceil(size / 512) * 512, "x");
const octal = (size: number): string => `${size.toString(8).padStart(11, "0")}\0`;

const files = [
  { name: "etc/", type: "directory" as const },
  { name: "etc/passwd", content: "root:x:0:0::/root:/bin/sh\n" },
  { name: "bin/sh", type: "symlink" as const, linkname: "busybox" },
  { name: "bin/busybox", content: Buffer.alloc(5000, 7) },
  // A name of so many letters is written in an extended header.
  { name: `usr/${"long/".repeat(60)}name`, content: "x" },
  { name: "usr/naïve", content: "" },
];

describe("a whole tar", () => {
  it("is taken, however it is cut into pieces and however much padding follows", async () => {
    const tar = await tarOf(files);
    for (const piece of [1, 7, 511, 512, 513, 4096, tar.length]) expect(faultIn(tar, piece)).toBeUndefined();
    expect(faultIn(Buffer.concat([tar, Buffer.alloc(200_001)]), 5000)).toBeUndefined();
    // Go takes one block of zeros for the end, too.
    expect(faultIn(tar.subarray(0, -512))).toBeUndefined();
  });

  const gibibytes9 = 9 * 2 ** 30;
  const binary = Buffer.alloc(12);
  binary.writeBigUInt64BE(1000n, 4);
  binary[0] = 0x80;
  it.each([
    ["sizes in binary", [header({ size: binary }), data(1000)]],
    ["sizes padded with blanks", [header({ size: "       1750 " }), data(1000)]],
    ["no size, as for some directories", [header({ size: "", type: "5" })]],
    ["a size for what has no data", [header({ size: octal(5000), type: "1" }), header({ size: octal(0) })]],
    ["checksums of signed bytes", [header({ size: octal(0), name: "etc/\xff\xfe", signed: true })]],
    ["types of its own program", [header({ size: octal(600), type: "D" }), data(600)]],
    [
      "GNU's long names",
      [header({ size: octal(600), type: "L", name: "././@LongLink" }), data(600), header({ size: octal(0) })],
    ],
    [
      "a size in an extended header, which counts",
      [
        header({ size: octal(15), type: "x" }),
        Buffer.from("15 size=001000\n".padEnd(512, "\0")),
        header({ size: octal(0) }),
        data(1000),
      ],
    ],
    [
      "a size in an extended header, before a long name that has its own",
      [
        header({ size: octal(13), type: "x" }),
        Buffer.from("13 size=1000\n".padEnd(512, "\0")),
        header({ size: octal(300), type: "K" }),
        data(300),
        header({ size: octal(0) }),
        data(1000),
      ],
    ],
    [
      "other extended headers",
      [
        header({ size: octal(20), type: "g" }),
        Buffer.from("20 comment=size=99\n\n".padEnd(512, "\0")),
        header({ size: octal(20), type: "x" }),
        Buffer.from("20 path=naive/file\n\n".padEnd(512, "\0")),
        header({ size: octal(100) }),
        data(100),
      ],
    ],
    [
      "GNU's sparse files with maps that go on",
      [
        header({ size: octal(700), type: "S", bytes: { 482: 1 } }),
        Buffer.alloc(512).fill(1, 504, 505),
        Buffer.alloc(512),
        data(700),
      ],
    ],
    ["GNU's sparse files with short maps", [header({ size: octal(700), type: "S" }), data(700)]],
  ])("may have %s", (_what, blocks) => {
    const tar = Buffer.concat([...blocks, header({ size: octal(0), name: "etc/last" }), ending]);
    expect(faultIn(tar)).toBeUndefined();
    expect(faultIn(tar, 100)).toBeUndefined();
    // The scan stands at the right place: what is put before the last header is noticed.
    expect(faultIn(Buffer.concat([...blocks, Buffer.alloc(512, 1), ending]))?.reason).toBe("damaged");
  });

  it("may have a file of 9 GiB, none of which is kept", () => {
    const scanner = new TarScanner();
    scanner.push(header({ size: octal(gibibytes9) }));
    const piece = Buffer.alloc(64 * 2 ** 20);
    for (let left = gibibytes9; left > 0; left -= piece.length) scanner.push(piece);
    scanner.push(ending);
    scanner.end();
  });
});

describe("a tar that is not whole", () => {
  it("is told wherever it is cut off", async () => {
    const tar = await tarOf(files);
    const end = tar.length - 1024;
    for (let cut = 513; cut <= end; cut += 97) expect(faultIn(tar.subarray(0, cut))?.reason).toBe("cut-off");
    expect(faultIn(tar.subarray(0, end))?.message).toBe(
      `it ends after ${end} bytes, without the end of a tar`,
    );
    expect(faultIn(tar.subarray(0, end + 600))?.reason).toBe("cut-off");
  });

  it("is told when a header has been damaged", async () => {
    const tar = await tarOf(files);
    const harmed = Buffer.from(tar);
    harmed[512 + 3] = (harmed[512 + 3] ?? 0) ^ 1;
    expect(faultIn(harmed)).toMatchObject({ reason: "damaged", message: expect.stringMatching(/byte 512/) });
  });

  it.each([
    ["nothing", Buffer.alloc(0), "not-a-tar"],
    ["a few bytes", Buffer.from("hello"), "not-a-tar"],
    ["text", Buffer.alloc(2000, "hello "), "not-a-tar"],
    ["zeros", Buffer.alloc(20_480), "empty"],
    ["zeros and more", Buffer.concat([Buffer.alloc(512), Buffer.alloc(512, 1)]), "damaged"],
    ["a negative size", Buffer.concat([header({ size: Buffer.alloc(12, 0xff) }), ending]), "damaged"],
    ["a size that is none", Buffer.concat([header({ size: "12x456" }), ending]), "damaged"],
    [
      "a huge extended header",
      Buffer.concat([header({ size: octal(2 ** 21), type: "x" }), ending]),
      "damaged",
    ],
    [
      "an extended size that is none",
      Buffer.concat([
        header({ size: octal(11), type: "x" }),
        Buffer.from("11 size=-1\n".padEnd(512, "\0")),
        header({ size: octal(0) }),
        ending,
      ]),
      "damaged",
    ],
  ] as const)("%s is told", (_what, bytes, reason) => {
    expect(faultIn(bytes)?.reason).toBe(reason);
    if (bytes.length > 0) expect(faultIn(bytes, 33)?.reason).toBe(reason);
  });

  it("is told from several in a row, of which only the first would be used", async () => {
    const tar = await tarOf(files);
    const joined = faultIn(Buffer.concat([tar, tar]));
    expect(joined).toMatchObject({ reason: "joined" });
  });

  it("never fails otherwise, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 1, max: 600 }), (bytes, piece) => {
        const blocks = Buffer.concat([header({ size: octal(bytes.length), type: "x" }), bytes]);
        return [bytes, blocks].every((all) => {
          const whole = faultIn(all);
          return whole?.reason === faultIn(all, piece)?.reason;
        });
      }),
    );
  });
});

describe("an image's archive", () => {
  it.each([
    [["blobs/", "index.json", "oci-layout"], "image-archive"],
    [["./oci-layout", "./index.json"], "image-archive"],
    [["abc/layer.tar", "manifest.json", "repositories"], "image-archive"],
    [["manifest.json", "app"], undefined],
    [["oci-layout", "index.json", "etc/passwd"], undefined],
    [["srv/oci-layout", "srv/index.json"], undefined],
  ])("%o is %s", async (names, reason) => {
    expect(faultIn(await tarOf(names.map((name) => ({ name }))))?.reason).toBe(reason);
  });
});

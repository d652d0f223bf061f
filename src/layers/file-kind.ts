/** What a file is by its first bytes, in words, and how to make a tar of it. */
interface FileKind {
  readonly name: string;
  readonly hint: string;
}

const unpack = (command: string): string => `Unpack it first: ${command}`;
const mount = "Pack the files of the system in it: mount it, then tar -C MOUNT -cf rootfs.tar .";

const magics: readonly (readonly [offset: number, bytes: string, kind: FileKind])[] = [
  [0, "\xfd7zXZ\0", { name: "compressed with xz", hint: unpack("xz -d FILE") }],
  [0, "BZh", { name: "compressed with bzip2", hint: unpack("bzip2 -d FILE") }],
  [0, "\x04\x22\x4d\x18", { name: "compressed with lz4", hint: unpack("lz4 -d FILE") }],
  [0, "\x89LZO", { name: "compressed with lzop", hint: unpack("lzop -d FILE") }],
  [0, "LZIP", { name: "compressed with lzip", hint: unpack("lzip -d FILE") }],
  [0, "\x5d\0\0", { name: "compressed with lzma", hint: unpack("xz -d --format=lzma FILE") }],
  [0, "PK\x03\x04", { name: "a zip archive", hint: "Unpack it, then tar -C DIRECTORY -cf rootfs.tar ." }],
  [
    0,
    "7z\xbc\xaf\x27\x1c",
    { name: "a 7z archive", hint: "Unpack it, then tar -C DIRECTORY -cf rootfs.tar ." },
  ],
  [0, "07070", { name: "a cpio archive", hint: "Unpack it, then tar -C DIRECTORY -cf rootfs.tar ." }],
  [
    0,
    "!<arch>\n",
    { name: "an ar archive or a Debian package", hint: unpack("dpkg-deb --fsys-tarfile FILE > rootfs.tar") },
  ],
  [0, "QFI\xfb", { name: "a qcow disk image", hint: mount }],
  [0, "KDMV", { name: "a VMware disk image", hint: mount }],
  [0, "vhdxfile", { name: "a Hyper-V disk image", hint: mount }],
  [
    0,
    "hsqs",
    {
      name: "a squashfs image",
      hint: "Unpack it with unsquashfs, then tar -C squashfs-root -cf rootfs.tar .",
    },
  ],
  [510, "\x55\xaa", { name: "a disk image", hint: mount }],
  [1024, "\xe2\xe1\xf5\xe0", { name: "an EROFS image", hint: mount }],
  [1080, "\x53\xef", { name: "an ext4 file system", hint: mount }],
  [0, "{", { name: "a JSON file", hint: "Name the tar itself." }],
  [
    0,
    "<",
    { name: "a page of text", hint: "If it was downloaded, look at what was: it may be an error page." },
  ],
];

/** How many of a file's first bytes are looked at. */
export const kindBytes = 1536;

/** What a file that is no tar is, if its first bytes tell. */
export function fileKind(head: Uint8Array): FileKind | undefined {
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString("latin1");
  return magics.find(([offset, bytes]) => text.startsWith(bytes, offset))?.[2];
}

/** How the layer of a file is compressed: as a tar that registries and BuildKit take as it is. */
export function compressionOf(head: Uint8Array): "gzip" | "zstd" | undefined {
  const [a, b, c, d] = head;
  if (a === 0x1f && b === 0x8b) return "gzip";
  return a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd ? "zstd" : undefined;
}

import { crc32 } from "node:zlib";

const dosDate = (1 << 5) | 1; // 1980-01-01
const regularFile = 0o100644;

/** Writes a zip of uncompressed files in the given order: the same bytes for the same files. */
export function storedZip(files: Iterable<readonly [path: string, content: Buffer]>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [path, content] of files) {
    const name = Buffer.from(path);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    // Names are UTF-8.
    common.writeUInt16LE(0x800, 2);
    common.writeUInt16LE(dosDate, 8);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(content.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = [Buffer.from("PK\x03\x04", "latin1"), common, name, content];
    const central = Buffer.alloc(14);
    central.writeUInt32LE(regularFile * 0x10000, 6);
    central.writeUInt32LE(offset, 10);
    // 0x314: made on Unix, so that the file's mode counts.
    directory.push(Buffer.from("PK\x01\x02\x14\x03", "latin1"), common, central, name);
    parts.push(...local);
    offset += local.reduce((sum, { length }) => sum + length, 0);
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  const count = directory.length / 4;
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, listing, end]);
}

import { pack } from "tar-stream";

/** A file for {@link tarOf}. */
export interface TarFile {
  readonly name: string;
  readonly content?: string | Uint8Array;
  readonly type?: "file" | "directory" | "symlink";
  readonly linkname?: string;
}

/** A whole tar, as a program would write it. */
export async function tarOf(files: readonly TarFile[]): Promise<Buffer> {
  const tar = pack();
  for (const { name, content, type = "file", linkname } of files) {
    const mtime = new Date(315_532_802_000);
    if (type === "file") tar.entry({ name, mtime }, Buffer.from(content ?? ""));
    else if (linkname === undefined) tar.entry({ name, type, mtime });
    else tar.entry({ name, type, linkname, mtime });
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Fields of a header made by hand. */
export interface HeaderFields {
  readonly name?: string;
  readonly type?: string;
  /** As it stands in the header. */
  readonly size: string | Uint8Array;
  /** Sums bytes as signed ones, as some old programs did. */
  readonly signed?: boolean;
  /** Bytes at places of their own. */
  readonly bytes?: Readonly<Record<number, number>>;
}

/** A header with a right checksum. */
export function header(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(512);
  block.write(fields.name ?? "etc/file", 0, "latin1");
  block.write("0000644\0", 100, "latin1");
  if (typeof fields.size === "string") block.write(fields.size, 124, "latin1");
  else block.set(fields.size, 124);
  block.write(fields.type ?? "0", 156, "latin1");
  for (const [at, byte] of Object.entries(fields.bytes ?? {})) block[Number(at)] = byte;
  block.fill(" ", 148, 156);
  let sum = 0;
  for (const byte of block) sum += fields.signed === true && byte > 127 ? byte - 256 : byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** The end of a tar: two blocks of zeros. */
export const ending: Buffer = Buffer.alloc(1024);

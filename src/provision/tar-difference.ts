import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { extract, type Header, type Pack, pack } from "tar-stream";

/**
 * The layer that makes one root out of another: what `whole` has that `base` lacks or has otherwise, and a
 * whiteout (OCI's `.wh.NAME`) for each path that only `base` has. Both are tars of whole roots.
 *
 * `base` is read before this resolves, `whole` while the layer is. A file's content lies in memory while it is
 * compared. Broken tars are errors of the layer's stream.
 */
export async function tarDifference(base: Readable, whole: Readable): Promise<Readable> {
  const below = new Map<string, string>();
  await eachEntry(base, (header, content) => {
    below.set(pathOf(header), fingerprint(header, content));
  });
  const layer = pack();
  write(whole, below, layer).catch((error: unknown) =>
    layer.destroy(error instanceof Error ? error : undefined),
  );
  return Readable.from(layer);
}

async function write(whole: Readable, below: Map<string, string>, layer: Pack): Promise<void> {
  await eachEntry(whole, async (header, content) => {
    const path = pathOf(header);
    const before = below.get(path);
    below.delete(path);
    if (before !== fingerprint(header, content)) await put(layer, header, content);
  });
  for (const path of [...below.keys()].sort()) {
    const slash = path.lastIndexOf("/") + 1;
    // The whiteout of a directory covers all below it.
    if (slash > 0 && below.has(path.slice(0, slash - 1))) continue;
    await put(
      layer,
      { name: `${path.slice(0, slash)}.wh.${path.slice(slash)}`, mode: 0o644, mtime: new Date(0) },
      Buffer.alloc(0),
    );
  }
  layer.finalize();
}

function put(
  layer: Pack,
  header: Partial<Header> & { readonly name: string },
  content: Buffer,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => (error == null ? resolve() : reject(error));
    if (header.type === undefined || header.type === "file" || header.type === "contiguous-file")
      layer.entry({ ...header, size: content.length }, content, done);
    else layer.entry(header, done);
  });
}

async function eachEntry(
  tar: Readable,
  visit: (header: Header, content: Buffer) => void | Promise<void>,
): Promise<void> {
  const reader = extract();
  tar.once("error", (error) => reader.destroy(error));
  tar.pipe(reader);
  for await (const entry of reader) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    await visit(entry.header, Buffer.concat(chunks));
  }
}

function pathOf({ name }: Header): string {
  return name.replace(/^\.?\/+/, "").replace(/\/+$/, "");
}

function fingerprint(header: Header, content: Buffer): string {
  const { type, mode, uid, gid, mtime, linkname, devmajor, devminor, pax } = header;
  const kept = [type, mode, uid, gid, mtime?.getTime(), linkname, devmajor, devminor, pax];
  return createHash("sha256").update(JSON.stringify(kept)).update(content).digest("base64");
}

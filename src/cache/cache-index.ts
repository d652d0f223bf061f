import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { KilnError } from "../errors.js";
import { randomId } from "../internal/random-id.js";

export type RecordKind = "builds" | "results" | "sources" | "daemons" | "trees" | "prefixes" | "shards" | "volatile" | "files";
export interface BlobCache {
  path(digest: string): string;
  has(digest: string): Promise<boolean>;
  scratch(): Promise<string>;
  keep(scratchFile: string, digest: string): Promise<void>;
}
export interface CacheIndex {
  readonly dir: string;
  readonly enabled: boolean;
  readonly problems: readonly KilnError[];
  read(kind: RecordKind, key: string): Promise<unknown>;
  write(kind: RecordKind, key: string, value: unknown): Promise<void>;
  readBytes(kind: RecordKind, key: string): Promise<Buffer | undefined>;
  writeBytes(kind: RecordKind, key: string, bytes: Uint8Array): Promise<void>;
  remove(kind: RecordKind, key: string): Promise<void>;
  list(kind: RecordKind): AsyncIterable<{ readonly key: string; readonly bytes: number; readonly usedAt: number }>;
  readonly blobs: BlobCache;
}
export function openCacheIndex(options: {
  readonly cacheDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now?: () => number;
}): CacheIndex {
  const dir = join(options.cacheDir, "index", "v1");
  const enabled = !["off", "0", "false"].includes(options.env["KILN_CACHE"] ?? "");
  const file = (kind: string, key: string) => join(dir, kind, key);
  const readBytes = async (kind: RecordKind, key: string) => {
    if (!enabled) return undefined;
    try {
      const bytes = await readFile(file(kind, key));
      const sum = bytes.subarray(0, 32);
      const rest = bytes.subarray(32);
      return createHash("sha256").update(rest).digest().equals(sum) ? rest : undefined;
    } catch {
      return undefined;
    }
  };
  const writeBytes = async (kind: RecordKind, key: string, bytes: Uint8Array) => {
    if (!enabled) return;
    const to = file(kind, key);
    await mkdir(dirname(to), { recursive: true });
    const temporary = `${to}.${randomId()}.tmp`;
    await writeFile(temporary, Buffer.concat([createHash("sha256").update(bytes).digest(), bytes]));
    await rename(temporary, to);
  };
  return {
    dir,
    enabled,
    problems: [],
    readBytes,
    writeBytes,
    async read(kind, key) {
      const bytes = await readBytes(kind, key);
      return bytes === undefined ? undefined : (JSON.parse(bytes.toString("utf8")) as unknown);
    },
    write: (kind, key, value) => writeBytes(kind, key, Buffer.from(JSON.stringify(value))),
    remove: (kind, key) => rm(file(kind, key), { force: true }),
    async *list(kind) {
      for (const key of await readdir(join(dir, kind)).catch(() => [])) {
        const found = await stat(file(kind, key));
        yield { key, bytes: found.size, usedAt: found.mtimeMs };
      }
    },
    blobs: {
      path: (digest) => join(dir, "blobs", "sha256", digest.slice(7)),
      has: async (digest) =>
        stat(join(dir, "blobs", "sha256", digest.slice(7))).then(
          () => true,
          () => false,
        ),
      async scratch() {
        await mkdir(join(dir, "blobs", "sha256"), { recursive: true });
        return join(dir, "blobs", `${randomId()}.tmp`);
      },
      keep: (scratch, digest) => rename(scratch, join(dir, "blobs", "sha256", digest.slice(7))),
    },
  };
}

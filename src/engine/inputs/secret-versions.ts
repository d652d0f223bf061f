import { createHmac, randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type CallSite, KilnError } from "../../errors.js";
import { dataDirectory } from "../../internal/data-directory.js";
import { withDirectoryLock } from "../../internal/directory-lock.js";
import { syncDirectory } from "../../internal/durable-file.js";
import { randomId } from "../../internal/random-id.js";
import type { SecretVariable } from "../../model/secret.js";

const keyBytes = 32;

/** Where the key is kept. */
export interface VersionKeyPlace {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The step that asks first, for errors. */
  readonly location: CallSite | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * The key that secrets' versions are made with: 32 random bytes in `secret-versions/key` of Kiln's data directory, which
 * only this user may read. Made the first time; of several who ask at once, all get the same.
 *
 * Rejects with `ERR_KILN_SECRET_VERSION` where it cannot be kept or read, or is damaged.
 */
export async function secretVersionKey({ env, location, signal }: VersionKeyPlace): Promise<Uint8Array> {
  const dir = join(dataDirectory(env, env["HOME"] ?? homedir()), "secret-versions");
  const path = join(dir, "key");
  try {
    return (
      (await readKey(path, location)) ??
      (await withDirectoryLock(
        join(dir, "lock"),
        async () => (await readKey(path, location)) ?? (await makeKey(dir, path)),
        { signal },
      ))
    );
  } catch (error) {
    if (signal?.aborted === true || error instanceof KilnError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new KilnError("ERR_KILN_SECRET_VERSION", `cannot keep the key of secrets' versions: ${why}`, {
      hint: `Make ${dir} writable, name another data directory with KILN_DATA_DIR, or leave out versioned().`,
      location,
      cause: error,
    });
  }
}

async function readKey(path: string, location: CallSite | undefined): Promise<Uint8Array | undefined> {
  let key: Uint8Array;
  try {
    key = await readFile(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  if (key.length === keyBytes) return key;
  throw new KilnError(
    "ERR_KILN_SECRET_VERSION",
    `the key of secrets' versions is damaged: ${path} has ${key.length} bytes, not ${keyBytes}`,
    { hint: "Delete it: a new one is made, and steps with versioned secrets run once more.", location },
  );
}

/** Under the lock. */
async function makeKey(dir: string, path: string): Promise<Uint8Array> {
  await mkdir(dir, { recursive: true });
  const key = randomBytes(keyBytes);
  const temporary = `${path}.${randomId()}.tmp`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(key);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dir);
  return key;
}

/** The version of a variable's value: HMAC-SHA256 over where it is from, its name and the value, cut to 128 bits. */
export function secretVersion(
  key: Uint8Array,
  { id, env }: Pick<SecretVariable, "id" | "env">,
  value: string,
): string {
  return createHmac("sha256", key)
    .update(`${JSON.stringify(["kiln secret version 1", id, env])}\n`)
    .update(value)
    .digest("hex")
    .slice(0, 32);
}

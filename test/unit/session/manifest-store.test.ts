import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { Digest } from "../../../src/oci/digest.js";
import { manifestStore } from "../../../src/session/manifest-store.js";

const digestOf = (bytes: Uint8Array): Digest =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;

test("large blobs count as being there, small ones are received", async () => {
  const store = manifestStore();
  const bytes = Buffer.from('{"layers":[]}');
  const digest = digestOf(bytes);
  expect(store.claims?.(digest, 100 * 1024 * 1024)).toBe(true);
  expect(store.claims?.(digest, bytes.length)).toBe(false);
  expect(await store.info(digest)).toBeUndefined();
  store.note?.(digest);
  const writer = await store.begin?.();
  await writer?.write(bytes.subarray(0, 5), 0);
  await writer?.write(bytes.subarray(5), 5);
  expect(await writer?.commit(bytes.length, digest)).toBe(digest);
  expect(store.received.get(digest)?.toString()).toBe('{"layers":[]}');
  expect(await store.info(digest)).toMatchObject({ digest, size: bytes.length });
  expect(store.noted).toEqual([digest]);
});

test("what has another digest than was announced is not kept", async () => {
  const store = manifestStore();
  const writer = await store.begin?.();
  await writer?.write(Buffer.from("x"), 0);
  await expect(writer?.commit(1, digestOf(Buffer.from("y")))).rejects.toMatchObject({ reason: "mismatch" });
  expect(store.received.size).toBe(0);
});

test("data out of order is refused, and a daemon cannot fill the memory", async () => {
  const store = manifestStore();
  const writer = await store.begin?.();
  await writer?.write(Buffer.from("abc"), 0);
  await expect(writer?.write(Buffer.from("d"), 7)).rejects.toMatchObject({ reason: "offset" });
  await expect(writer?.write(Buffer.alloc(17 * 1024 * 1024), 3)).rejects.toMatchObject({
    reason: "mismatch",
  });
});

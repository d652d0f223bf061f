import type { ManifestStore } from "../../../../src/cache/trees/scan-tree.js";

/** Keeps manifests in memory. */
export class MemoryStore implements ManifestStore {
  readonly kept = new Map<string, Buffer>();
  writes = 0;

  async readBytes(_kind: "trees", key: string): Promise<Uint8Array | undefined> {
    const bytes = this.kept.get(key);
    return bytes === undefined ? undefined : Buffer.from(bytes);
  }

  async writeBytes(_kind: "trees", key: string, bytes: Uint8Array): Promise<void> {
    this.writes += 1;
    this.kept.set(key, Buffer.from(bytes));
  }
}

/** A clock that is a minute ahead: files that were just made are old by it. */
export const later = (): number => Date.now() + 60_000;

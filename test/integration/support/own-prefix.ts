import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { engineDown, engineKinds, registryDown } from "../../../src/provision/index.js";

/** The prefix of the engines that all tests share. */
export const sharedPrefix: string = fileURLToPath(new URL("../../../.kiln", import.meta.url));

/** A folder for engines and a registry of a test's own. */
export interface OwnPrefix {
  readonly path: string;
  /** Stops what runs there and deletes it. */
  readonly remove: () => Promise<void>;
}

/** Makes a prefix whose engines are others than the shared ones, but come from the same unpacked packages. */
export function ownPrefix(): OwnPrefix {
  // Short, for the daemons' sockets.
  const path = mkdtempSync(join(tmpdir(), "kiln-own-"));
  mkdirSync(path, { recursive: true });
  for (const name of ["packages", "apt"]) symlinkSync(join(sharedPrefix, name), join(path, name));
  return {
    path,
    async remove() {
      for (const kind of engineKinds) await engineDown({ prefix: path, kind });
      await registryDown({ prefix: path });
      rmSync(path, { recursive: true, force: true });
    },
  };
}

import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import * as v from "valibot";
import { randomId } from "../internal/random-id.js";

const seedBytes = 16;
const seedsSchema = v.record(v.string(), v.object({ Seed: v.string() }));

/**
 * Secret random bytes of this machine for each registry host: without them a daemon could choose what the key of a
 * token authority is made from.
 *
 * Kept in a file in the form of Docker's own `.token_seed`, so that both tools have the same keys and share the
 * daemon's tokens. A file that cannot be read or written is as good as none: tokens are then fetched again.
 */
export class TokenSeeds {
  readonly #file: string;
  readonly #made = new Map<string, Buffer>();

  /** `file`: e.g. `.token_seed` in Docker's config directory. Not touched before the first question. */
  constructor(file: string) {
    this.#file = file;
  }

  /** The seed of a host; made and kept on the first question. */
  async of(host: string): Promise<Buffer> {
    const made = this.#made.get(host);
    if (made !== undefined) return made;
    const known = await this.#read();
    const found = Object.hasOwn(known, host) ? known[host] : undefined;
    const seed = found === undefined ? randomBytes(seedBytes) : Buffer.from(found.Seed, "base64");
    this.#made.set(host, seed);
    if (found === undefined) await this.#write({ ...known, [host]: { Seed: seed.toString("base64") } });
    return seed;
  }

  async #read(): Promise<v.InferOutput<typeof seedsSchema>> {
    try {
      return v.parse(seedsSchema, JSON.parse(await readFile(this.#file, "utf8")));
    } catch {
      return {};
    }
  }

  async #write(seeds: v.InferOutput<typeof seedsSchema>): Promise<void> {
    const temporary = `${this.#file}.${randomId()}`;
    try {
      await mkdir(dirname(this.#file), { recursive: true });
      await writeFile(temporary, JSON.stringify(seeds, undefined, 2), { mode: 0o600, flag: "wx" });
      await rename(temporary, this.#file);
    } catch {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }
}

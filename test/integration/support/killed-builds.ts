import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { openCacheIndex } from "../../../src/cache/records/cache-index.js";
import { verifyIndex } from "../../../src/cache/records/verify-index.js";
import {
  type BuildResult,
  Engine,
  Image,
  localDir,
  type Output,
  ociLayout,
  ociTar,
} from "../../../src/index.js";
import { isLeftover } from "../../../src/internal/unfinished-file.js";
import { baseLayout } from "./engines.js";
import { filesOfLayout } from "./files-of-layout.js";
import { startCli } from "./run-cli.js";

/** What {@link killBuilds} is told. */
export interface KillBuildsOptions {
  readonly address: string;
  /** For the tree, the cache and the outputs. */
  readonly dir: string;
  readonly kills: number;
}

/** What became of the builds. */
export interface KilledBuilds {
  /** Killed before their end. */
  readonly killed: number;
  /** Files that the killed left unfinished, in the index and in their outputs. */
  readonly leftovers: number;
  /** Builds that were found to be there already, by those that came afterwards. */
  readonly verified: number;
}

/** A kind of build: what is done, and where it goes. */
interface Kind {
  readonly name: string;
  readonly below: boolean;
  readonly above: boolean;
  readonly output: "layout" | "tar" | "local";
}

const kinds: readonly Kind[] = [
  { name: "appended", below: false, above: false, output: "layout" },
  { name: "between", below: true, above: true, output: "layout" },
  { name: "tar", below: false, above: true, output: "tar" },
  { name: "local", below: true, above: false, output: "local" },
];

const files = 1_500;
const index = new URL("../../../dist/index.js", import.meta.url).pathname;

/**
 * Starts builds of a tree that goes onto the image as layers, three processes at once that share tree and index, and kills
 * each at a random point. After every three the same builds are carried out to their end, and all that is left on disk is
 * looked at.
 */
export async function killBuilds({ address, dir, kills }: KillBuildsOptions): Promise<KilledBuilds> {
  const bench = new Bench(address, dir);
  const sums = { killed: 0, leftovers: 0, verified: 0 };
  // Nothing is killed of the first, so that it is known how long they take.
  bench.change("first");
  let usualMs = 0;
  for (const end of await Promise.all(kinds.slice(0, 3).map((kind) => bench.run(kind)))) {
    usualMs = Math.max(usualMs, end.ms);
  }
  for (let done = 0; done < kills; done += 3) {
    bench.change(`round ${done}`);
    const chosen = [0, 1, 2].slice(0, kills - done).map((at) => kinds[(done + at) % kinds.length] as Kind);
    const ends = await Promise.all(
      chosen.map((kind) => bench.run(kind, usualMs * (0.1 + 0.9 * Math.random()))),
    );
    sums.killed += ends.filter(({ killed }) => killed).length;
    // Later ones find more in the index.
    usualMs = Math.min(usualMs, ...ends.flatMap(({ killed, ms }) => (killed ? [] : [ms])));
    sums.leftovers += await bench.checkIndex();
    sums.leftovers += chosen.reduce((sum, kind) => sum + bench.leftovers(kind).length, 0);
    const results = await bench.finish(chosen);
    sums.verified += results.filter(({ verified }) => verified).length;
    for (const kind of chosen) await bench.check(kind);
    expect(await bench.checkIndex()).toBe(0);
  }
  return sums;
}

class Bench {
  readonly #address: string;
  readonly #dir: string;
  readonly #tree: string;
  readonly #cache: string;
  #mark = "";

  constructor(address: string, dir: string) {
    this.#address = address;
    this.#dir = dir;
    this.#tree = join(dir, "tree");
    this.#cache = join(dir, "cache");
    for (let at = 0; at < files; at += 1) {
      if (at % 100 === 0) mkdirSync(join(this.#tree, `d${at / 100}`), { recursive: true });
      writeFileSync(join(this.#tree, fileName(at)), `file ${at} `.repeat(100));
    }
  }

  /** Gives builds something to do. */
  change(mark: string): void {
    this.#mark = `${mark} of ${this.#dir}`;
    for (const at of [7, 707, 1407]) writeFileSync(join(this.#tree, fileName(at)), `${at} ${this.#mark}`);
  }

  /** Builds in a process of its own, which is killed after so long. */
  async run(kind: Kind, killAfterMs?: number): Promise<{ readonly killed: boolean; readonly ms: number }> {
    const recipe = join(this.#dir, `${kind.name}.mjs`);
    writeFileSync(
      recipe,
      [
        `import { Image } from ${JSON.stringify(index)};`,
        `export default Image.fromOciLayout(${JSON.stringify(baseLayout("busybox"))})`,
        ...(kind.below ? [`.runCommands(${JSON.stringify(this.#below())})`] : []),
        `.addLocalDir(${JSON.stringify(this.#tree)}, "/data", { copy: true })`,
        ...(kind.above ? [`.runCommands(${JSON.stringify(this.#above())})`] : []),
      ].join("\n"),
    );
    const place = this.#place(kind);
    const output = kind.output === "local" ? `local:${place}` : `oci:${place}`;
    const env = { ...process.env, KILN_CACHE_DIR: this.#cache };
    const since = performance.now();
    const { child, done } = startCli(["build", recipe, "-o", output, "--host", this.#address], { env });
    if (killAfterMs !== undefined) {
      await Promise.race([delay(killAfterMs), done]);
      child.kill("SIGKILL");
    }
    const { code, stderr } = await done;
    const ms = performance.now() - since;
    if (code === null && child.signalCode === "SIGKILL") return { killed: true, ms };
    if (code !== 0) throw new Error(`the build ${kind.name} failed with ${code}:\n${stderr}`);
    return { killed: false, ms };
  }

  /** The same builds at once to their end, by an engine that has just begun. */
  async finish(chosen: readonly Kind[]): Promise<readonly BuildResult[]> {
    const env = { ...process.env, KILN_CACHE_DIR: this.#cache };
    await using engine = await Engine.connect({ host: this.#address, env });
    return Promise.all(
      chosen.map((kind) => engine.build(this.#image(kind), { outputs: [this.#output(kind)] }).result),
    );
  }

  /** Looks at what a build made, as another tool would. */
  async check(kind: Kind): Promise<void> {
    const found = await this.#filesOf(kind);
    for (let at = 0; at < files; at += 1) {
      const wanted = readFileSync(join(this.#tree, fileName(at)), "latin1");
      if (found.get(`data/${fileName(at)}`) !== wanted)
        throw new Error(`${kind.name}: ${fileName(at)} is another`);
    }
    if (kind.below) expect(found.get("below")).toBe(`${this.#mark}\n`);
    if (kind.above) expect(found.get("above")).toBe(`${this.#mark}\n`);
    expect(this.leftovers(kind)).toEqual([]);
  }

  /** Whether the index is whole; how many files were left unfinished. */
  async checkIndex(): Promise<number> {
    const { damaged, checked, leftovers } = await verifyIndex(
      openCacheIndex({ cacheDir: this.#cache, env: {} }),
    );
    expect(damaged).toEqual([]);
    expect(checked).toBeGreaterThan(0);
    return leftovers;
  }

  /** What is left unfinished of a build's output, by processes that are no more. */
  leftovers(kind: Kind): readonly string[] {
    const place = this.#place(kind);
    const beside = readdirSync(this.#dir).filter((name) => isLeftover(name));
    const within =
      kind.output === "tar" || !existsSync(place)
        ? []
        : (readdirSync(place, { recursive: true }) as string[]);
    return [
      ...beside.filter((name) => name.includes(`${kind.name}.out`)),
      ...within.filter((name) => isLeftover(name) || name.startsWith("ingest")),
    ];
  }

  #image({ below, above }: Kind): Image {
    let image = Image.fromOciLayout(baseLayout("busybox"));
    if (below) image = image.runCommands(this.#below());
    image = image.addLocalDir(this.#tree, "/data", { copy: true });
    return above ? image.runCommands(this.#above()) : image;
  }

  #below(): string {
    return `echo ${this.#mark} > /below`;
  }

  #above(): string {
    return `test "$(cat /data/*/* | wc -l)" -ge 0; echo ${this.#mark} > /above`;
  }

  #place({ name, output }: Kind): string {
    return join(this.#dir, `${name}.out${output === "tar" ? ".tar" : ""}`);
  }

  #output(kind: Kind): Output {
    const place = this.#place(kind);
    if (kind.output === "local") return localDir(place);
    return kind.output === "tar" ? ociTar(place) : ociLayout(place);
  }

  async #filesOf(kind: Kind): Promise<ReadonlyMap<string, string>> {
    const place = this.#place(kind);
    if (kind.output === "layout") return filesOfLayout(place);
    if (kind.output === "local") {
      const names = ["below", ...Array.from({ length: files }, (_, at) => `data/${fileName(at)}`)];
      return new Map(names.map((name) => [name, readFileSync(join(place, name), "latin1")]));
    }
    const unpacked = join(this.#dir, "unpacked");
    mkdirSync(unpacked);
    execFileSync("tar", ["-x", "-f", place, "-C", unpacked]);
    try {
      return await filesOfLayout(unpacked);
    } finally {
      rmSync(unpacked, { recursive: true, force: true });
    }
  }
}

function fileName(at: number): string {
  return `d${Math.floor(at / 100)}/${at}.txt`;
}

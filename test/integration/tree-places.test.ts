import { execFileSync } from "node:child_process";
import { chmodSync, linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AddLocalDirOptions, Image, ociLayout } from "../../src/index.js";
import { describeOneEngine } from "./support/engines.js";
import { fresh, pinned, Workbench } from "./support/rebuild.js";
import { readLayoutImage } from "./support/registry-image.js";
import { expectSame } from "./support/same-image.js";

const off = { env: { KILN_CACHE: "off" } };

describeOneEngine("modern", "an image with directories of 1,100 files", ({ address }) => {
  let bench: Workbench;
  let base: Image;
  let one: string;
  let two: string;

  beforeAll(async () => {
    bench = new Workbench(address);
    base = Image.fromRegistry(await pinned("library/busybox", "1.36")).runCommands(
      `mkdir -p /real /full; echo there > /full/there; ln -s /real /linked; ln -s ../real /full/up; : ${fresh()}`,
    );
    const make = (mark: string): string => {
      const dir = bench.project(
        Object.fromEntries(
          Array.from({ length: 1_100 }, (_, at) => [`bin/d${at % 9}/${mark}${at}`, `content ${at}`]),
        ),
      );
      // Else a daemon that has built this before copies nothing.
      writeFileSync(join(dir, "nonce"), fresh());
      mkdirSync(join(dir, "empty"));
      chmodSync(join(dir, "empty"), 0o750);
      chmodSync(join(dir, "bin", "d1", `${mark}1`), 0o2700);
      symlinkSync("bin", join(dir, "link"));
      linkSync(join(dir, "bin", "d2", `${mark}2`), join(dir, "hard"));
      utimesSync(join(dir, "bin", "d3", `${mark}3`), 1_000_000_000, 1_000_000_000.5);
      chmodSync(dir, 0o711);
      return dir;
    };
    [one, two] = [make("one"), make("two")];
    setAttribute(join(one, "hard"));
  });
  afterAll(() => bench.remove());

  const copy: AddLocalDirOptions = { copy: true };
  const chains: readonly (readonly [string, () => Image])[] = [
    ["in a directory that is not there", () => base.addLocalDir(one, "/new/place", copy)],
    ["in one that is empty", () => base.addLocalDir(one, "/real", copy)],
    ["in one that is not empty", () => base.addLocalDir(one, "/full", copy)],
    ["at the root", () => base.addLocalDir(one, "/", copy)],
    ["at the root of nothing", () => Image.fromScratch().addLocalDir(one, "/", copy)],
    ["below the root of nothing", () => Image.fromScratch().addLocalDir(one, "/a/b", copy)],
    ["behind a link", () => base.addLocalDir(one, "/linked/in/it", copy)],
    ["behind a link, and empty", () => base.addLocalDir(one, "/linked", copy)],
    ["behind a relative link", () => base.addLocalDir(one, "/full/up/it", copy)],
    [
      "one after another, with commands between",
      () =>
        base
          .addLocalDir(one, "/a", copy)
          .runCommands("chmod 700 /a/bin; rm /a/hard; echo x > /a/bin/new")
          .addLocalDir(two, "/b", copy)
          .addLocalDir(one, "/b/more", copy)
          .runCommands("cp -a /b/link /c"),
    ],
    ["one onto another", () => base.addLocalDir(one, "/a", copy).addLocalDir(two, "/a", copy)],
    ["with the times they have", () => base.addLocalDir(one, "/a/b", { ...copy, mtime: "keep" })],
    ["with usual modes", () => base.addLocalDir(one, "/a/b", { ...copy, mode: "normalize" })],
    ["without some", () => base.addLocalDir(one, "/a", { ...copy, ignore: ["bin/d4", "**/one1"] })],
  ];
  it.each(chains)("is the same whichever way they go: %s", async (_title, chain) => {
    const image = chain();
    const [on, without] = [bench.place("on"), bench.place("off")];
    await bench.build(image, { outputs: [ociLayout(on)] });
    await bench.build(image, { outputs: [ociLayout(without)] }, off);
    expectSame(await readLayoutImage(on), await readLayoutImage(without));
  });

  it("is the same with a time for all", async () => {
    const image = base.addLocalDir(one, "/a/b", copy);
    const [on, without] = [bench.place("on"), bench.place("off")];
    const at = { sourceDateEpoch: 1_600_000_000 };
    await bench.build(image, { outputs: [ociLayout(on)], ...at });
    await bench.build(image, { outputs: [ociLayout(without)], ...at }, off);
    expectSame(await readLayoutImage(on), await readLayoutImage(without));
    expect((await readLayoutImage(on)).files.get("a/b/hard")?.mtime).toBe(1_600_000_000);
  });
});

/** Where the machine has the tool; a file system without attributes of users does without. */
function setAttribute(path: string): void {
  try {
    execFileSync("setfattr", ["-n", "user.kiln", "-v", "value", path], { stdio: "ignore" });
  } catch {
    // Not to be had.
  }
}

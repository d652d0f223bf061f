import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { overlayTree } from "../../../src/fsutil/overlay-tree.js";
import { openTree, type Tree } from "../../../src/fsutil/tree.js";
import { listing, paths } from "./listing.js";
import { temporaryTree } from "./temporary-tree.js";

async function content(tree: Tree, path: string): Promise<string> {
  const stat = (await listing(tree)).find((entry) => entry.path === path);
  const pieces: Uint8Array[] = [];
  for await (const piece of tree.read(path, { size: stat?.size, chunkBytes: 1024 })) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

describe("a tree with further files", () => {
  it("lists both in the protocol's order, the further ones in the place of the tree's own", async () => {
    const root = temporaryTree({
      "a/b": "tree",
      "a.txt": "tree",
      "m/dir/inner": "hidden",
      link: { symlink: "a" },
      z: "tree",
    });
    const more = temporaryTree({ x: "further" });
    const file = join(more, "x");
    const at = ["a/c", "a-b", "m/dir", "link/inside", "é", "zz/deep/er", "z"];
    const tree = overlayTree(openTree({ root }), new Map(at.map((path) => [path, file])));
    expect(await paths(tree)).toEqual([
      ...["a/", "a/b", "a/c", "a-b", "a.txt", "link/", "link/inside", "m/", "m/dir"],
      ...["z", "zz/", "zz/deep/", "zz/deep/er", "é"],
    ]);
    expect(await content(tree, "z")).toBe("further");
    expect(await content(tree, "a/b")).toBe("tree");
  });

  it("is not held back by the tree's own filter, and is by later ones", async () => {
    const root = temporaryTree({ "app/main": "1", "app/config": "2" });
    const file = join(temporaryTree({ x: "3" }), "x");
    const tree = overlayTree(
      openTree({ root, exclude: ["**/config", "!odd"] }),
      new Map([["app/config", file]]),
    );
    expect(await paths(tree)).toEqual(["app/", "app/config", "app/main"]);
    expect(await paths(tree.narrow({ followPaths: ["app/config"] }))).toEqual(["app/", "app/config"]);
    expect(await paths(tree.narrow({ exclude: ["app/config"] }))).toEqual(["app/", "app/main"]);
  });

  it("shows a hard link to what it hides with its own content", async () => {
    const root = temporaryTree({ a: "linked", b: { link: "a" } });
    const file = join(temporaryTree({ x: "other" }), "x");
    const tree = overlayTree(openTree({ root }), new Map([["a", file]]));
    expect((await listing(tree)).map(({ path, linkname }) => [path, linkname])).toEqual([
      ["a", ""],
      ["b", ""],
    ]);
    expect(await content(tree, "b")).toBe("linked");
  });

  it.each(["!odd", "a*b", "[x]", " padded ", "back\\slash", "a|b{c}^"])("hides exactly %j", async (name) => {
    const root = temporaryTree({ [name]: "tree", axb: "tree" });
    const file = join(temporaryTree({ x: "other!" }), "x");
    const found = await listing(overlayTree(openTree({ root }), new Map([[name, file]])));
    expect(found.map(({ path }) => path).sort()).toEqual([name, "axb"].sort());
    expect(found.find(({ path }) => path === name)?.size).toBe(6);
  });

  it.each([
    ["a missing file", { a: "no-such" }, "ERR_KILN_FILE_NOT_FOUND"],
    ["a directory", { a: "." }, "ERR_KILN_FILE_UNREADABLE"],
    ["a path that leaves the tree", { "../a": "x" }, "ERR_KILN_INVALID_ARGUMENT"],
    ["a file below a file", { a: "x", "a/b": "x" }, "ERR_KILN_INVALID_ARGUMENT"],
  ])("refuses %s", (_title, files, code) => {
    const root = temporaryTree({ x: "1" });
    const entries = Object.entries(files).map(([at, path]) => [at, join(root, path)] as const);
    expect(() => overlayTree(openTree({ root }), new Map(entries))).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import * as nodeModule from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { compileCacheDirectory, enableCompileCache } from "../../../src/engine/compile-cache.js";

it("compiled code is kept in Kiln's cache directory", () => {
  expect(compileCacheDirectory({}, "/home/me")).toBe("/home/me/.cache/kiln/v8");
  expect(compileCacheDirectory({ KILN_CACHE_DIR: "/c" }, "/home/me")).toBe("/c/v8");
});

it.each([
  ["the cache is off", { KILN_CACHE: "off" }],
  ["Node was told where", { NODE_COMPILE_CACHE: "/elsewhere" }],
  ["Node was told not to", { NODE_DISABLE_COMPILE_CACHE: "1" }],
  ["the directory is wrong, which is not for this to say", { KILN_CACHE_DIR: "relative" }],
])("compiled code is not kept where %s", (_, env) => {
  expect(compileCacheDirectory(env, "/home/me")).toBeUndefined();
});

it("the directory is made where Node can use it, and only there", () => {
  const directory = mkdtempSync(join(tmpdir(), "kiln-compile-cache-"));
  try {
    enableCompileCache({ KILN_CACHE_DIR: directory });
    expect(existsSync(join(directory, "v8"))).toBe("enableCompileCache" in nodeModule);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

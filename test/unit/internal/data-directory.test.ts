import { expect, it } from "vitest";
import { ownEngineAddress } from "../../../src/engine/own-engine.js";
import { dataDirectory, shareDirectory } from "../../../src/internal/data-directory.js";
import { imageStoreDirectory } from "../../../src/oci/index.js";
import { defaultPrefix } from "../../../src/provision/index.js";

it.each([
  [{}, "/h/.local/share/kiln"],
  [{ XDG_DATA_HOME: "/x" }, "/x/kiln"],
  [{ XDG_DATA_HOME: "x" }, "/h/.local/share/kiln"],
  [{ XDG_DATA_HOME: "" }, "/h/.local/share/kiln"],
  [{ XDG_DATA_HOME: "/x", KILN_DATA_DIR: "/own" }, "/own"],
  [{ XDG_DATA_HOME: "/x", KILN_DATA_DIR: "" }, "/x/kiln"],
])("%o means %s", (env, dir) => {
  expect(dataDirectory(env, "/h")).toBe(dir);
  expect(imageStoreDirectory(env, "/h")).toBe(`${dir}/images`);
});

it("refuses a relative KILN_DATA_DIR", () => {
  expect(() => dataDirectory({ KILN_DATA_DIR: "data" }, "/h")).toThrow(
    expect.objectContaining({ code: "ERR_KILN_INVALID_ARGUMENT", hint: expect.stringContaining("absolute") }),
  );
});

it("leaves engines where they are", () => {
  const env = { XDG_DATA_HOME: "/x", KILN_DATA_DIR: "/own" };
  expect(shareDirectory(env, "/h")).toBe("/x/kiln");
  expect(defaultPrefix(env)).toBe("/x/kiln");
  expect(ownEngineAddress(env, "/h")).toBe("docker:///x/kiln/engines/modern/docker.sock");
});

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { lintRuleIds } from "../../../src/image/lint/lint.js";

const page = readFileSync(new URL("../../../docs/images.md", import.meta.url), "utf8");

it("has a line for every rule of lint", () => {
  const rows = [...page.matchAll(/^\| `([a-z-]+)` +\|/gm)].map(([, rule = ""]) => rule);
  expect(rows.sort()).toEqual([...lintRuleIds].sort());
});

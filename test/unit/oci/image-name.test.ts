import { expect, it } from "vitest";
import { parseImageName } from "../../../src/oci/index.js";

it.each([
  ["app", "app", "latest"],
  ["app:v1.2", "app", "v1.2"],
  ["A-b_c.9", "A-b_c.9", "latest"],
  ["ap-short", "ap-short", "latest"],
  [`ap-${"x".repeat(23)}`, `ap-${"x".repeat(23)}`, "latest"],
  ["imagine", "imagine", "latest"],
  [`${"n".repeat(64)}:${"t".repeat(64)}`, "n".repeat(64), "t".repeat(64)],
])("%s names an image", (text, name, tag) => {
  expect(parseImageName(text)).toEqual({ name, tag, text: `${name}:${tag}` });
});

it.each([
  ["", "it is empty"],
  [":v1", "the name is empty"],
  ["app:", "the tag is empty"],
  ["app:a:b", "the tag may only have"],
  ["a b", "the name may only have"],
  ["naïve", "the name may only have"],
  ["app\n", "the name may only have"],
  ["prod/app", "it has a slash"],
  ["n".repeat(65), "the name has more than 64"],
  [`app:${"t".repeat(65)}`, "the tag has more than 64"],
  ["im-123", "an id of Modal's"],
  [`ap-${"a1".repeat(11)}`, "an id of Modal's"],
  [`sha256:${"a".repeat(64)}`, "reads like a digest"],
])("%j is refused", (text, why) => {
  expect(() => parseImageName(text)).toThrow(
    expect.objectContaining({
      code: "ERR_KILN_INVALID_REFERENCE",
      message: expect.stringContaining(why),
      hint: expect.stringMatching(/\w/),
    }),
  );
});

it("carries the place of the call that named it", () => {
  const location = { file: "/recipe.ts", line: 3, column: 5 };
  expect(() => parseImageName("a/b", { location })).toThrow(expect.objectContaining({ location }));
});

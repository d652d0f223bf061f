import { describe, expect, it } from "vitest";
import { alignSteps, commonOrder } from "../../../../src/cache/explain/align-steps.js";
import { listed, shortDigest, shortText, textChange } from "../../../../src/cache/explain/describe-change.js";
import { filesCause } from "../../../../src/cache/explain/file-changes.js";
import { inputChanges } from "../../../../src/cache/explain/input-changes.js";
import {
  itemChanges,
  lineChanges,
  packageChanges,
  sequenceChanges,
} from "../../../../src/cache/explain/list-changes.js";
import type { StepFingerprint, StepInput, StepInputKind } from "../../../../src/model/step-input.js";
import { sha256 } from "../../../../src/oci/digest.js";

describe("packages that changed", () => {
  it.each([
    ["numpy", "numpy==2.1", ["numpy → numpy==2.1"]],
    ["torch<3", "Torch>=3", ["torch<3 → Torch>=3"]],
    ["diffusers[torch]", "diffusers", ["diffusers[torch] → diffusers"]],
    ["my_package", "my-package==1", ["my_package → my-package==1"]],
    ["git=1:2.39.*", "git", ["git=1:2.39.* → git"]],
    ["g++", "g++=4", ["g++ → g++=4"]],
    ["@scope/a@1.0.0", "@scope/a@2.0.0", ["@scope/a@1.0.0 → @scope/a@2.0.0"]],
    ["@scope/a@1.0.0", "@scope/b@1.0.0", ["+ @scope/b@1.0.0", "− @scope/a@1.0.0"]],
    ["left-pad@1", "right-pad@1", ["+ right-pad@1", "− left-pad@1"]],
    [
      "git+https://h.test/o/r@v1",
      "git+https://h.test/o/r@v2",
      ["git+https://h.test/o/r@v1 → git+https://h.test/o/r@v2"],
    ],
    [
      "git+https://h.test/o/r@v1",
      "git+https://h.test/o/s@v1",
      ["+ git+https://h.test/o/s@v1", "− git+https://h.test/o/r@v1"],
    ],
    ["github.com/o/r@v1", "github.com/o/r@v2", ["github.com/o/r@v1 → github.com/o/r@v2"]],
  ])("%s to %s", (before, after, expected) => {
    expect(packageChanges(["six", before], [after, "six"])).toEqual(expected);
  });

  it("count each of several that are alike", () => {
    expect(packageChanges(["a", "a"], ["a"])).toEqual(["− a"]);
    expect(packageChanges(["a"], ["a", "a"])).toEqual(["+ a"]);
    expect(packageChanges(["a", "b"], ["b", "a"])).toEqual([]);
  });
});

it("lists of names, of texts and of lines tell what is new, gone and other", () => {
  expect(itemChanges(["a", "b"], ["b", "c"])).toEqual(["+ c", "− a"]);
  expect(sequenceChanges(["a", "b", "c"], ["a", "x", "c", "d"])).toEqual([
    'changed: "b" → "x"',
    'added: "d"',
  ]);
  expect(sequenceChanges(["a", "b"], ["b"])).toEqual(['removed: "a"']);
  expect(sequenceChanges(["a", "b"], ["b", "a"])).toEqual([]);
  expect(lineChanges("six\r\n\n  numpy\n", "six\nnumpy==2\n")).toEqual(["numpy → numpy==2"]);
});

describe("texts in a sentence", () => {
  it.each([
    ["a", "b", "a → b"],
    ["", "b", '"" → b'],
    ["a\n  b", "c", "a ⏎ b → c"],
    [sha256("a"), sha256("b"), `${sha256("a").slice(0, 19)}… → ${sha256("b").slice(0, 19)}…`],
    ["key=*** [01234567]", "key=*** [89abcdef]", "what is masked"],
    ["key=*** [01234567]", "name=*** [89abcdef]", "key=*** → name=***"],
    ["a [01234567]", "a [89abcdef]", "a [01234567] → a [89abcdef]"],
    [
      `${"a".repeat(100)}b${"c".repeat(100)}`,
      `${"a".repeat(100)}x${"c".repeat(100)}`,
      `…${"a".repeat(16)}b${"c".repeat(43)}… → …${"a".repeat(16)}x${"c".repeat(43)}…`,
    ],
    [`b${"c".repeat(100)}`, "x", `b${"c".repeat(59)}… → x`],
  ])("%j and %j", (before, after, expected) => {
    expect(textChange(before, after)).toBe(expected);
  });

  it("are cut, digests recognisably, and lists after a few", () => {
    expect(shortText("a".repeat(61))).toBe(`${"a".repeat(59)}…`);
    expect(shortText("*** [01234567]")).toBe("***");
    expect(shortDigest("sha256:0123456789abcdef")).toBe("sha256:0123456789ab…");
    expect([listed(["a", "b", "c"]), listed(["a", "b", "c", "d", "e"])]).toEqual([
      "a, b, c",
      "a, b, c … and 2 more",
    ]);
  });
});

describe("files that changed", () => {
  const none = { added: [], removed: [], changed: [], total: 10_412 };

  it("are counted out of all, the first three named", () => {
    const changed = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map((path) => ({
      path,
      what: "content",
    }));
    expect(filesCause("src", { ...none, changed })).toEqual({
      kind: "files",
      text: "10 of 10,412 files changed: a, b, c … and 7 more",
      ...{ changed: 10, total: 10_412, paths: ["a", "b", "c"] },
    });
  });

  it("are counted whole where only some are listed", () => {
    const changed = ["a", "b", "c", "d"].map((path) => ({ path, what: "content" }));
    expect(filesCause("src", { ...none, changed, differences: 5000 })).toMatchObject({
      text: "5,000 of 10,412 files changed: a, b, c … and 4,997 more",
      changed: 5000,
    });
  });

  it("are told by what happened to them", () => {
    const text = (diff: object): string => filesCause("src", { ...none, ...diff }).text;
    expect(text({ changed: [{ path: "a", what: "owner" }] })).toBe("owner of 1 of 10,412 files changed: a");
    expect(text({ renamed: [{ from: "a", to: "b" }] })).toBe("1 of 10,412 files renamed: a → b");
    expect(text({ added: ["a"], removed: ["b"] })).toBe("2 of 10,413 files changed: + a, − b");
    expect(text({ changed: [{ path: "a", what: "link" }], added: ["b"] })).toBe(
      "2 of 10,412 files changed: a (link), + b",
    );
    expect(filesCause("src", undefined).text).toBe("src changed");
    expect(filesCause("a.txt", { ...none, total: 1, changed: [{ path: "file", what: "mode" }] }).text).toBe(
      "mode of a.txt changed",
    );
  });
});

describe("inputs that changed", () => {
  const input = (kind: StepInputKind, name: string, value: string, items?: readonly string[]): StepInput =>
    items === undefined ? { kind, name, value } : { kind, name, value, items };
  const texts = async (
    before: readonly StepInput[],
    after: readonly StepInput[],
    files: Record<string, string> = {},
  ) => (await inputChanges(before, after, { fileText: (digest) => files[digest] })).map(({ text }) => text);

  it("are none where only the version of this package is another one", async () => {
    expect(await texts([input("setting", "package", "1")], [input("setting", "package", "2")])).toEqual([]);
  });

  it("name a base among several, and leave aside one that is not resolved", async () => {
    const [a, b] = [sha256("a"), sha256("b")];
    const bases = (digest: string): readonly StepInput[] => [
      input("base", "x:1", digest),
      input("base", "y:1", a),
    ];
    expect(await texts(bases(a), bases(b))).toEqual([`x:1 moved: ${shortDigest(a)} → ${shortDigest(b)}`]);
    expect(await texts(bases(""), bases(b))).toEqual([]);
    expect(await texts([], bases(b))).toEqual(["base added: x:1", "base added: y:1"]);
    expect(await texts(bases(b), [])).toEqual(["base removed: x:1", "base removed: y:1"]);
  });

  it("tell of a secret what became of it", async () => {
    const secret = (value: string): readonly StepInput[] => [input("secret", "TOKEN", value)];
    const version = (text: string): string => `Secret.fromEnv(TOKEN) ${sha256(text)}`;
    expect(await texts(secret(version("1")), secret(version("2")))).toEqual([
      "secret TOKEN has another version",
    ]);
    expect(await texts(secret("Secret.fromEnv(TOKEN)"), secret(version("2")))).toEqual([
      "secret TOKEN counts by its version now",
    ]);
    expect(await texts(secret(version("2")), secret("Secret.fromEnv(TOKEN)"))).toEqual([
      "secret TOKEN no longer counts by its version",
    ]);
    expect(await texts(secret("Secret.fromEnv(TOKEN)"), secret("Secret.fromName(TOKEN)"))).toEqual([
      "secret changed: Secret.fromEnv(TOKEN) → Secret.fromName(TOKEN)",
    ]);
  });

  it("show lines of small files that somebody has, and count those of large ones", async () => {
    const file = (text: string): readonly StepInput[] => [input("file", "r.txt", sha256(text))];
    const large = Array.from({ length: 20 }, (_, index) => `p${index}`).join("\n");
    const files = Object.fromEntries(["six", "six==1", large].map((text) => [sha256(text), text]));
    expect(await texts(file("six"), file("six==1"), files)).toEqual(["r.txt changed: six → six==1"]);
    expect(await texts(file("six"), file(large), files)).toEqual(["r.txt changed: 21 lines"]);
    expect(await texts(file("six"), file("six==1"))).toEqual(["r.txt changed"]);
    expect(await texts([], file("six"))).toEqual(["r.txt is there now"]);
    expect(await texts(file("six"), [])).toEqual(["r.txt is gone"]);
  });

  it("tell of a file that an argument names only that the argument changed", async () => {
    const of = (path: string): readonly StepInput[] => [
      input("argument", "path", path),
      input("file", path, sha256(path)),
    ];
    expect(await texts(of("a.txt"), of("b.txt"))).toEqual(["path changed: a.txt → b.txt"]);
  });

  it("tell of a tree at another path that it is another one", async () => {
    expect(await texts([input("tree", "./a", "1")], [input("tree", "./b", "2")])).toEqual([
      "path changed: ./a → ./b",
    ]);
    expect(await texts([], [input("tree", "./b", "2")])).toEqual(["./b is new"]);
    expect(await texts([input("tree", "./a", "1")], [])).toEqual(["./a is gone"]);
  });

  it("of a chain that has other steps now are its steps alone", async () => {
    const chain = (...ids: readonly string[]): readonly StepInput[] => [
      input("argument", "image", ids.join("+"), ids),
      ...ids.map((id, index) => input("argument", `image.${index + 1} ${id}: x`, id)),
    ];
    expect(await texts(chain("a", "b"), chain("a", "c", "b"))).toEqual(["image changed: + c"]);
    const [steps, ...inputs] = chain("a", "b");
    const other = [{ ...steps!, value: "other" }, { ...inputs[0]!, value: "z" }, inputs[1]!];
    expect(await texts(chain("a", "b"), other)).toEqual(["image.1 a: x changed: a → z"]);
  });

  it("found by a pattern are counted", async () => {
    const found = (...items: readonly string[]): readonly StepInput[] => [
      input("listing", ". *.py", items.join(), items),
    ];
    expect(await texts(found("a", "b"), found("a", "c"))).toEqual(["files found changed: + c, − b"]);
  });
});

describe("steps of two chains", () => {
  const steps = (text: string): readonly StepFingerprint[] =>
    [...text].map((letter, index) => ({
      ...{ index, id: letter.toLowerCase(), version: 1, title: letter, own: letter, chain: letter },
      inputs: [{ kind: "argument", name: "letter", value: letter }],
    }));
  const aligned = (before: string, after: string): string =>
    alignSteps(steps(before), steps(after))
      .map((match) => (match === undefined ? "-" : `${match.before}${match.moved ? "!" : ""}`))
      .join(" ");

  it.each([
    ["abc", "abc", "0 1 2"],
    ["abc", "axbc", "0 - 1 2"],
    ["abc", "ac", "0 2"],
    ["abcd", "acbd", "0 2 1! 3"],
    // Upper and lower case are one kind of step, written otherwise.
    ["abc", "aBc", "0 1 2"],
    ["aab", "aAab", "0 - 1 2"],
    ["", "a", "-"],
    ["a", "", ""],
    ["abc", "xyz", "- - -"],
    ["abAc", "bac", "1 0! 3"],
  ])("%s and %s", (before, after, expected) => {
    expect(aligned(before, after)).toBe(expected);
  });

  it("are matched in reasonable time however many there are", () => {
    const many = Array.from({ length: 20_000 }, (_, index) => `${index}`);
    const others = ["new", ...many.slice(0, 10_000), "more", ...many.slice(10_001)];
    expect(commonOrder(many, ["new", ...many]).length).toBe(many.length);
    expect(commonOrder(many, others).length).toBeGreaterThan(9000);
  });
});

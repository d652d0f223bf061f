import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { compile } from "../../../src/image/compile.js";
import { Image } from "../../../src/image/image.js";
import { type KilnMatchers, kilnEquality, kilnMatchers, kilnSerializer } from "../../../src/testing/index.js";
import { facts } from "../image/facts.js";

declare module "vitest" {
  // biome-ignore lint/suspicious/noExplicitAny: vitest's own declaration, which this one joins
  interface Matchers<T = any> extends KilnMatchers {}
}

expect.addSnapshotSerializer(kilnSerializer);
expect.extend(kilnMatchers);
expect.addEqualityTesters([kilnEquality]);

const image = Image.fromRegistry("debian").aptInstall("git").env({ PORT: "80" });

describe("the serializer", () => {
  it("prints images and plans in inline snapshots", () => {
    expect(image).toMatchInlineSnapshot(`
      fromRegistry v1
        ref: "docker.io/library/debian:latest"
        written: "debian"
      aptInstall v1
        packages: ["git"]
        recommends: true
      env v1
        entries: [["PORT","80"]]
        expand: true
    `);
    expect(compile(Image.fromScratch().label({ a: "b" }), facts())).toMatchInlineSnapshot(`
      platform linux/amd64
      builder 2026.11
      step 0 fromScratch
      step 1 label a

      config {
       "Env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
       ],
       "Labels": {
        "a": "b"
       },
       "WorkingDir": "/"
      }

      result scratch
    `);
  });

  it("prints them within other values, indented, and leaves those alone", () => {
    expect({
      images: [Image.fromScratch(), Image.fromScratch().cmd(["x"])],
      rest: 1,
    }).toMatchInlineSnapshot(`
      {
        "images": [
          fromScratch v1,
          fromScratch v1
          cmd v1
            ["x"],
        ],
        "rest": 1,
      }
    `);
  });

  it("prints them in files", async () => {
    const dir = mkdtempSync(join(tmpdir(), "kiln-snapshots-"));
    try {
      const file = join(dir, "image.snap");
      writeFileSync(file, image.toSnapshot().trimEnd());
      await expect(image).toMatchFileSnapshot(file);
      expect(readFileSync(file, "utf8")).toBe(image.toSnapshot().trimEnd());
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

/** What a runner shows of a failed expectation: its message and the difference. */
function failure(expectation: () => void): {
  readonly message: string;
  readonly actual: string;
  readonly expected: string;
} {
  try {
    expectation();
  } catch (error) {
    const { message, actual, expected } = error as Record<"message" | "actual" | "expected", unknown>;
    return {
      message: stripVTControlCharacters(String(message)),
      actual: String(actual),
      expected: String(expected),
    };
  }
  throw new Error("the expectation held");
}

describe("toHaveKilnSnapshot", () => {
  it("takes an image with the same steps, a plan, or a text, however it is indented", () => {
    expect(image).toHaveKilnSnapshot(Image.fromRegistry("debian").aptInstall("git").env({ PORT: "80" }));
    expect(image).toHaveKilnSnapshot(image.toSnapshot());
    expect(Image.fromScratch().cmd(["x"])).toHaveKilnSnapshot(`
      fromScratch v1
      cmd v1
        ["x"]
    `);
    expect(compile(image, facts())).toHaveKilnSnapshot(compile(image, facts()));
    expect(image).not.toHaveKilnSnapshot(image.env({ A: "1" }));
    expect(image.env({ A: "1" })).not.toHaveKilnSnapshot(image);
  });

  it("says by a failure which line differs, with both texts for the runner to compare", () => {
    const { message, actual, expected } = failure(() =>
      expect(image).toHaveKilnSnapshot(Image.fromRegistry("debian").aptInstall("curl").env({ PORT: "80" })),
    );
    expect(message).toBe("expected the same snapshot; line 5 is the first to differ");
    const [left, right] = [actual, expected].map((text) => text.split("\n")) as [string[], string[]];
    expect(left.filter((line, index) => line !== right[index])).toEqual(['  packages: ["git"]']);
    expect(right.filter((line, index) => line !== left[index])).toEqual(['  packages: ["curl"]']);
    expect(failure(() => expect(image).toHaveKilnSnapshot(image.env({ A: "1" }))).message).toContain(
      "line 10 ",
    );
    expect(failure(() => expect(image).not.toHaveKilnSnapshot(image)).message).toContain("another one");
  });

  it.each([
    ["nothing to compare with", () => expect(image).toHaveKilnSnapshot(undefined as never), "needs an Image"],
    ["what is no image", () => expect(3).toHaveKilnSnapshot(image), "must be of an Image or a Plan"],
  ])("refuses %s", (_title, expectation, why) => {
    expect(failure(expectation).message).toContain(why);
  });
});

describe("equality", () => {
  const same = Image.fromRegistry("debian").aptInstall("git").env({ PORT: "80" });
  const other = image.env({ A: "1" });

  it("tells images apart, at any depth", () => {
    expect(image).toEqual(same);
    expect({ at: [image] }).toEqual({ at: [same] });
    expect(image).not.toEqual(other);
    expect({ at: [image] }).not.toEqual({ at: [other] });
    expect(image).not.toEqual({});
    expect({ a: 1 }).toEqual({ a: 1 });
  });

  it("holds for what functions were called with", () => {
    const called = vi.fn<(image: Image) => void>();
    called(image);
    expect(called).toHaveBeenCalledWith(same);
    expect(called).not.toHaveBeenCalledWith(other);
  });
});

import { describe, expect, it } from "vitest";
import { ignoreLines } from "../../../../src/image/dockerfile/ignore-lines.js";
import {
  directivesOf,
  heredocsOf,
  splitInstructions,
  wordsOf,
} from "../../../../src/image/dockerfile/split-instructions.js";

describe("a Dockerfile's instructions", () => {
  it("have their lines, continued ones with comments within, and their heredocs", () => {
    const text = [
      "# syntax=x",
      "",
      "from a AS b",
      "RUN one \\",
      "# within",
      "",
      "  two \\  ",
      "three",
      "COPY <<A <<-'B C' /x",
      "FROM inside",
      "A",
      "\tRUN inside",
      "\tB C",
      'RUN echo "<<NO" && cat <<E',
      "e",
      "E",
      "LABEL a=<<b",
      "CMD x \\",
    ].join("\r\n");
    const found = splitInstructions(text);
    expect(found.map(({ name, args, line }) => [line, name, args])).toEqual([
      [1, "", ""],
      [2, "", ""],
      [3, "FROM", "a AS b"],
      [4, "RUN", "one   two three"],
      [9, "COPY", "<<A <<-'B C' /x"],
      [14, "RUN", 'echo "<<NO" && cat <<E'],
      [17, "LABEL", "a=<<b"],
      [18, "CMD", "x"],
    ]);
    expect(found[3]?.head).toBe("RUN one \\\n# within\n\n  two \\  \nthree");
    expect(found[4]?.heredocs).toEqual(["FROM inside", "A", "\tRUN inside", "\tB C"]);
    const whole = found.flatMap(({ head, heredocs }) => [head, ...heredocs]).join("\r\n");
    expect(whole.replaceAll(/\r?\n/g, "\n")).toBe(text.replaceAll("\r\n", "\n"));
  });

  it("end with the file, whatever is open", () => {
    expect(splitInstructions("")).toEqual([]);
    expect(splitInstructions("RUN <<E\nx\n")).toMatchObject([{ name: "RUN", heredocs: ["x"] }]);
    expect(splitInstructions("\ufeffFROM x")).toMatchObject([{ name: "FROM", args: "x" }]);
  });

  it("have words, heredocs and directives as Docker reads them", () => {
    expect(wordsOf(`--a=b 'c d' "e \\" f"g\\ h  i`)).toEqual(["--a=b", "'c d'", `"e \\" f"g\\ h`, "i"]);
    expect(heredocsOf(`3<<"A B" <<C"D" x<<no <<-E`).map(({ word }) => word)).toEqual(["A B", "CD", "E"]);
    expect([...directivesOf("# syntax = a/b:1 \n#escape=`\n# other\n# check=x")]).toEqual([
      ["syntax", "a/b:1"],
      ["escape", "`"],
    ]);
    expect(directivesOf("FROM x\n# syntax=y").size).toBe(0);
  });
});

it("ignore files are read as Docker does", () => {
  const text = "\ufeff# c\n #no comment\n\n /a/ \n! b/../c\n!\n./d//e\r\n/\n";
  expect(ignoreLines(text)).toEqual(["#no comment", "a/", "!c", "d/e", "/"]);
});

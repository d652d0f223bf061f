import { describe, expect, it } from "vitest";
import { Image } from "../../../src/image/image.js";
import { commandsOf, modalLines, thrown } from "./step-support.js";

const base = Image.fromRegistry("python");
const index = "https://example.com/simple";

describe("pipInstall", () => {
  it.each([
    ["a flag", () => base.pipInstall("--pre"), "ERR_KILN_INVALID_ARGUMENT", 'extraOptions: "--pre"'],
    ["a flag behind a blank", () => base.pipInstall(" -U"), "ERR_KILN_INVALID_ARGUMENT", "extraOptions"],
    [
      "a requirements file",
      () => base.pipInstall("-r requirements.txt"),
      "ERR_KILN_INVALID_ARGUMENT",
      "pipInstallFromRequirements",
    ],
    ["an empty string", () => base.pipInstall(""), "ERR_KILN_INVALID_ARGUMENT", "One string a package"],
    ["two lines", () => base.pipInstall("six\nidna"), "ERR_KILN_INVALID_ARGUMENT", "One string a package"],
    ["a number", () => base.pipInstall(3 as never), "ERR_KILN_INVALID_ARGUMENT", 'pipInstall("a", "b")'],
    [
      "Modal's name of an option",
      () => base.pipInstall("six", { index_url: index } as never),
      "ERR_KILN_UNKNOWN_OPTION",
      'Did you mean "indexUrl"?',
    ],
    [
      "no address",
      () => base.pipInstall("six", { indexUrl: "" }),
      "ERR_KILN_INVALID_ARGUMENT",
      'indexUrl: "https',
    ],
    [
      "a flag for an address",
      () => base.pipInstall("six", { extraIndexUrl: [index, "--pre"] }),
      "ERR_KILN_INVALID_ARGUMENT",
      "extraIndexUrl:",
    ],
    [
      "options as a list",
      () => base.pipInstall("six", { extraOptions: ["--no-deps"] as never }),
      "ERR_KILN_INVALID_ARGUMENT",
      "Write them as in a shell",
    ],
    [
      "a second command among options",
      () => base.pipInstall("six", { extraOptions: "--no-deps\nrm -r /" }),
      "ERR_KILN_INVALID_ARGUMENT",
      "Write them as in a shell",
    ],
    [
      "a number for a flag",
      () => base.pipInstall("six", { pre: 1 as never }),
      "ERR_KILN_INVALID_ARGUMENT",
      "pre: true",
    ],
  ])("refuses %s at the call", (_title, call, code, hint) => {
    const error = thrown(call);
    expect(error.code).toBe(code);
    expect(error.hint).toContain(hint);
    expect(error.location?.file).toBe(import.meta.filename);
  });

  it("adds no step without packages", () => {
    expect(base.pipInstall()).toBe(base);
    expect(base.pipInstall([], { pre: true })).toBe(base);
  });

  it("runs pip of the first Python on the PATH, with its cache in a mount", () => {
    const { scripts, shown, env, caches } = commandsOf(base.pipInstall("six"), {}, { Env: ["PATH=/bin"] });
    expect(shown).toEqual(["python -m pip install six"]);
    expect(scripts[0]?.split("\n").at(-1)).toBe('"$py" -m pip install six');
    expect(scripts[0]).toMatch(/^py="\$\(command -v python \|\| command -v python3\)" \|\| .*exit 127/);
    expect(env[0]).toContain("PIP_BREAK_SYSTEM_PACKAGES=1");
    expect(caches).toEqual(["/root/.cache/pip kiln-pip-cache-linux/amd64"]);
  });

  it("is the same step for the same packages in another order", () => {
    const one = commandsOf(base.pipInstall("six", "attrs"));
    expect(commandsOf(base.pipInstall(["attrs", "six", "attrs"])).digests).toEqual(one.digests);
    expect(commandsOf(base.pipInstall("six")).digests).not.toEqual(one.digests);
  });

  it("keeps its environment out of the image", () => {
    const image = base.pipInstall("six", { env: { PIP_INDEX_URL: index } });
    const { env, imageEnv } = commandsOf(image, {}, { Env: ["A=1"] });
    expect(env[0]).toContain(`PIP_INDEX_URL=${index}`);
    expect(imageEnv).toEqual(["A=1"]);
  });

  it("hands all options to pip, one flag an index", () => {
    const image = base.pipInstall("six", {
      findLinks: "/wheels dir",
      indexUrl: index,
      extraIndexUrl: [`${index}/a`, `${index}/b`],
      pre: true,
      extraOptions: "--no-deps  --index-url https://u:$TOKEN@example.com",
    });
    expect(commandsOf(image).shown).toEqual([
      `python -m pip install six --find-links '/wheels dir' --index-url ${index} --extra-index-url ${index}/a --extra-index-url ${index}/b --pre --no-deps  --index-url https://u:$TOKEN@example.com`,
    ]);
  });

  it("names its packages and addresses for lint", () => {
    const step = base.pipInstall("six", { indexUrl: index, findLinks: "/wheels" }).steps.at(-1);
    expect(step?.traits({ builder: {} as never })).toEqual({
      packages: [{ manager: "pip", spec: "six" }],
      urls: [index],
    });
  });
});

describe("Modal's rendering of pipInstall", () => {
  it.each([
    ["plain names, sorted", ["transformers", "diffusers[torch]"], "'diffusers[torch]' transformers"],
    [
      "versions",
      ["pandas==2.2.0", "numpy~=1.26", "torch<3", "a!=2"],
      "'a!=2' 'numpy~=1.26' pandas==2.2.0 'torch<3'",
    ],
    ["markers", ['foo; python_version<"3.9"'], `'foo; python_version<"3.9"'`],
    ["single quotes", ["foo; sys_platform=='linux'"], `'foo; sys_platform=='"'"'linux'"'"''`],
    ["addresses", ["git+https://github.com/o/r@v1#egg=x"], "'git+https://github.com/o/r@v1#egg=x'"],
    ["an address that needs no quotes", ["git+https://github.com/o/r@v1"], "git+https://github.com/o/r@v1"],
    ["blanks", ["six @ https://example.com/six.whl"], "'six @ https://example.com/six.whl'"],
    ["letters beyond ASCII", ["größe"], "'größe'"],
    ["Python's order, not JavaScript's", ["\u{1f40d}", "\uff53ix", "B", "a"], "B a '\uff53ix' '\u{1f40d}'"],
    ["what is there twice", ["six", "a", "six"], "a six six"],
    ["shell characters", ["a$B", "c`d`", "~e", "f*"], "'a$B' 'c`d`' 'f*' '~e'"],
  ])("quotes %s", (_title, packages, expected) => {
    expect(modalLines(base.pipInstall(packages))).toEqual([`RUN python -m pip install ${expected}`]);
  });

  it.each([
    [{}, ""],
    [{ indexUrl: index }, ` --index-url ${index}`],
    [{ findLinks: "a b", extraIndexUrl: index }, ` --find-links 'a b' --extra-index-url ${index}`],
    // Two blanks, as Modal has them.
    [{ pre: true }, "  --pre"],
    [{ pre: true, indexUrl: index }, ` --index-url ${index} --pre`],
    [{ pre: true, extraOptions: "--no-deps" }, "  --pre --no-deps"],
    [{ extraOptions: "--no-deps $X" }, " --no-deps $X"],
    [{ gpu: "H100", forceBuild: true, env: { A: "1" } }, ""],
  ])("puts options %j behind the packages", (options, expected) => {
    expect(modalLines(base.pipInstall("bitsandbytes", options))).toEqual([
      `RUN python -m pip install bitsandbytes${expected}`,
    ]);
  });
});

import { describe, expect, it } from "vitest";
import { Image } from "../../../src/image/image.js";
import { commandsOf, gathered, modalLines, thrown } from "./step-support.js";

const base = Image.fromRegistry("python");
const install = base.pipInstallFromRequirements("requirements.txt");

describe("pipInstallFromRequirements", () => {
  it("refuses what is no path at the call", () => {
    for (const path of ["", 3, undefined]) {
      const error = thrown(() => base.pipInstallFromRequirements(path as string));
      expect(error).toMatchObject({
        code: "ERR_KILN_INVALID_ARGUMENT",
        location: { file: import.meta.filename },
      });
      expect(error.hint).toContain('pipInstallFromRequirements("requirements.txt")');
    }
  });

  it("mounts the file as it is", () => {
    const text = [
      "# all\nsix==1.17.0 \\\n    --hash=sha256:00\n\n--index-url https://example.com/simple",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: pip's own syntax
      "foo[x]>=1; python_version<'4' # why\n${NAME}\n-e git+https://example.com/r#egg=r",
      "six @ https://example.com/six-1.zip\n/src/pkg\n--find-links /wheels\n-r https://example.com/r.txt\n",
    ].join("\n");
    const { shown, mounted } = commandsOf(install, { "requirements.txt": text });
    expect(shown).toEqual(["python -m pip install -r /run/kiln/requirements/0/requirements.txt"]);
    expect(mounted.get("/dir/0/requirements.txt")).toBe(text);
  });

  it("follows files that files include, each from its own directory, at the same lines", () => {
    const image = base.pipInstallFromRequirements("./deps/all.txt");
    const files = {
      "deps/all.txt":
        "-r base/b.txt # base\n--requirement='more deps.txt'\nsix\n-c \\\n  ../limits.txt\nidna",
      "deps/base/b.txt": "\n-c../../limits.txt\n",
      "deps/more deps.txt": "--constraint ../limits.txt\n",
      "limits.txt": "idna<4\n",
      "other.txt": "not named by anyone",
    };
    expect(gathered(image, files).needs.files.map(({ path }) => path)).toEqual([
      "deps/all.txt",
      "deps/base/b.txt",
      "deps/more deps.txt",
      "limits.txt",
    ]);
    const { mounted } = commandsOf(image, files);
    const root = "/run/kiln/requirements";
    expect(mounted.get("/dir/0/all.txt")).toBe(
      `-r ${root}/1/b.txt\n-r ${root}/2/more_deps.txt\nsix\n-c ${root}/3/limits.txt\n\nidna`,
    );
    expect(mounted.get("/dir/1/b.txt")).toBe(`\n-c ${root}/3/limits.txt\n`);
    expect(mounted.get("/dir/2/more_deps.txt")).toBe(`-c ${root}/3/limits.txt\n`);
    expect(mounted.has("/dir/4/other.txt")).toBe(false);
  });

  it("reads what PowerShell writes, and marks of encodings", () => {
    const utf16 = Buffer.from("\ufeffsix\r\nidna\r\n", "utf16le");
    expect(commandsOf(install, { "requirements.txt": utf16 }).mounted.get("/dir/0/requirements.txt")).toBe(
      "six\r\nidna\r\n",
    );
    const utf8 = commandsOf(install, { "requirements.txt": "\ufeffsix\n" });
    expect(utf8.mounted.get("/dir/0/requirements.txt")).toBe("six\n");
  });

  it.each([
    ["-e .", "addLocalDir"],
    ["--editable=./pkg[dev]", "addLocalDir"],
    ["./pkg", "addLocalDir"],
    ["../pkg ; python_version > '3'", "addLocalDir"],
    ["pkg/sub", "addLocalDir"],
    ["dist/pkg-1.0-py3-none-any.whl", "addLocalDir"],
    ["pkg.tar.gz", "addLocalDir"],
    ["numpy @ file:///croot/numpy_1/work", "addLocalDir"],
    ["pkg@./pkg", "addLocalDir"],
    ["git+file:///home/me/pkg", "addLocalDir"],
    ["-f wheels", "--find-links /wheels"],
    ["--find-links=./wheels", "--find-links /wheels"],
    ["-r a.txt b.txt", "one file a line"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: pip's own syntax
    ["-r ${DIR}/a.txt", "path of the file"],
    ["-c file:///a.txt", "path of the file"],
  ])("refuses %s with file, line and the call that names the file", (line, hint) => {
    const error = thrown(() => gathered(install, { "requirements.txt": `# x\nsix\n${line}\n` }));
    expect(error).toMatchObject({
      code: "ERR_KILN_FILE_INVALID",
      location: { file: import.meta.filename },
      message: expect.stringContaining(`requirements.txt:3: "${line}"`),
    });
    expect(error.hint).toContain(hint);
  });

  it("refuses files that include one another, and takes one that is included twice", () => {
    const cycle = { "requirements.txt": "-r a.txt", "a.txt": "-r b.txt", "b.txt": "-c a.txt" };
    expect(thrown(() => gathered(install, cycle)).message).toContain(
      "requirements.txt → a.txt → b.txt → a.txt",
    );
    expect(thrown(() => gathered(install, { "requirements.txt": "-r ./requirements.txt" })).code).toBe(
      "ERR_KILN_FILE_INVALID",
    );
    const twice = { "requirements.txt": "-r a.txt\n-r b.txt", "a.txt": "-r b.txt", "b.txt": "six" };
    expect(commandsOf(install, twice).mounted.get("/dir/2/b.txt")).toBe("six");
  });

  it("refuses a file that is no text", () => {
    const error = thrown(() => gathered(install, { "requirements.txt": Uint8Array.of(0x73, 0xff) }));
    expect(error).toMatchObject({ code: "ERR_KILN_FILE_INVALID", hint: "Save it as UTF-8." });
  });
});

describe("Modal's rendering of pipInstallFromRequirements", () => {
  it("names the links twice, once without quotes", () => {
    const image = base.pipInstallFromRequirements("deps/r.txt", {
      findLinks: "https://example.com/a*",
      pre: true,
    });
    const layer = image.toModalLayers().at(-1);
    expect(layer?.commands).toEqual([
      "FROM base",
      "COPY /.requirements.txt /.requirements.txt",
      "RUN python -m pip install -r /.requirements.txt -f https://example.com/a* --find-links 'https://example.com/a*' --pre",
    ]);
    expect(layer?.contextFiles).toEqual({ "/.requirements.txt": "deps/r.txt" });
    expect(modalLines(install).at(-1)).toBe("RUN python -m pip install -r /.requirements.txt");
  });
});

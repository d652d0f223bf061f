import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Declarations, type Member } from "./public-api.js";

/**
 * What the page says and the package does not have yet: `Image.name`, or `Image.name option`. Steps that are being
 * written; to be emptied with them.
 */
const notYet: readonly string[] = [];

/** Python's `modal.Image` and `modal.Secret`, as of modal 1.5.4; keywords that all steps have are left to their table. */
const python: Readonly<Record<string, string>> = {
  "Image.debian_slim": "python_version force_build",
  "Image.micromamba": "python_version force_build",
  "Image.from_registry": "tag secret setup_dockerfile_commands force_build add_python",
  "Image.from_aws_ecr": "tag secret setup_dockerfile_commands force_build add_python",
  "Image.from_gcp_artifact_registry": "tag secret setup_dockerfile_commands force_build add_python",
  "Image.from_dockerfile": "path force_build context_dir env secrets gpu add_python build_args ignore",
  "Image.from_scratch": "force_build",
  "Image.from_id": "image_id client",
  "Image.from_name": "name environment_name client",
  apt_install: "packages",
  pip_install: "packages find_links index_url extra_index_url pre extra_options",
  uv_pip_install: "packages requirements find_links index_url extra_index_url pre extra_options uv_version",
  uv_sync: "uv_project_dir groups extras frozen extra_options uv_version",
  pip_install_from_requirements: "requirements_txt find_links index_url extra_index_url pre extra_options",
  pip_install_from_pyproject:
    "pyproject_toml optional_dependencies find_links index_url extra_index_url pre extra_options",
  pip_install_private_repos: "repositories git_user find_links index_url extra_index_url pre extra_options",
  poetry_install_from_file:
    "poetry_pyproject_toml poetry_lockfile ignore_lockfile with_ without only poetry_version old_installer",
  micromamba_install: "packages spec_file channels",
  run_commands: "commands volumes",
  dockerfile_commands: "dockerfile_commands context_files context_dir ignore build_args",
  env: "vars",
  workdir: "path",
  entrypoint: "entrypoint_commands",
  cmd: "cmd",
  shell: "shell_commands",
  pipe: "func args kwargs",
  add_local_file: "local_path remote_path copy",
  add_local_dir: "local_path remote_path copy ignore",
  add_local_python_source: "modules copy ignore",
  run_function:
    "raw_f env secrets volumes network_file_systems gpu cpu memory timeout cloud region force_build args kwargs include_source",
  imports: "",
  build: "app",
  publish: "name",
  "logs.fetch": "layers",
  "logs.tail": "entries",
  hydrate: "",
  object_id: "",
  secrets: "",
  gpu: "",
  force_build: "",
  "Secret.from_dict": "env_dict",
  "Secret.from_local_environ": "env_keys",
  "Secret.from_dotenv": "path filename",
  "Secret.from_name": "name environment_name required_keys client",
};

const page = readFileSync(new URL("../../../docs/coming-from-modal.md", import.meta.url), "utf8");
const declarations = new Declarations(["src/image", "src/engine"]);
const stepOptions = new Set(declarations.keys("StepOptions"));
const members = new Map(
  ["Image", "Secret"].flatMap((owner) =>
    declarations.members(owner).map((member) => [nameOf(owner, member), member] as const),
  ),
);

function nameOf(owner: string, { name, isStatic }: Pick<Member, "name" | "isStatic">): string {
  return `${isStatic ? `${owner}.` : owner === "Image" ? "." : `${owner}#`}${name}`;
}

/** Code in the columns of the tables, row by row. */
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("|") && !/^\| (?:Python|---)/.test(line))
  .map((line) => {
    const [first = "", second = ""] = line
      .split("|")
      .slice(1)
      .map((cell) => cell.trim());
    return { python: codeIn(first), typescript: codeIn(second) };
  });

function codeIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

/** What a code span names: a member and keys of its options. */
function named(code: string): { readonly name: string; readonly options: readonly string[] } | undefined {
  const [, name, args = ""] = /^((?:Image|Secret|StepOptions|engine)?\.\w+)(?:\((.*)\))?$/.exec(code) ?? [];
  if (name === undefined) return undefined;
  const [, keys = ""] = /\{ ([\w, ]+) \}/.exec(args) ?? [];
  return { name, options: keys.split(", ").filter((key) => key !== "") };
}

const spans = rows.flatMap(({ typescript }) => typescript.flatMap((code) => named(code) ?? []));

it("names only methods and options that there are", () => {
  const missing = spans.flatMap(({ name, options }) => {
    if (name.startsWith("StepOptions.")) {
      const key = name.slice("StepOptions.".length);
      return stepOptions.has(key) ? [] : [name];
    }
    if (name === "engine.build") {
      const known = declarations.keys("BuildOptions");
      return options.filter((key) => !known.includes(key)).map((key) => `${name} ${key}`);
    }
    const member = members.get(name);
    if (member === undefined) return [name];
    return options.filter((key) => !member.options.has(key)).map((key) => `${name} ${key}`);
  });
  expect(missing.filter((name) => !notYet.includes(name))).toEqual([]);
});

it("names every public method of images and secrets", () => {
  const mentioned = new Set(spans.map(({ name }) => name));
  const ours = [
    ...["Secret.isSecret", "Secret#origin", "Secret#toString", "Secret#toJSON"],
    ...["Secret#versioned", "Secret#isVersioned"],
  ];
  expect([...members.keys()].filter((name) => !mentioned.has(name) && !ours.includes(name))).toEqual([]);
});

it("names every option of methods, and every one that steps have in common", () => {
  const left = [...members].flatMap(([name, member]) => {
    const said = spans.filter((span) => span.name === name).flatMap(({ options }) => options);
    return [...member.options]
      .filter((key) => !stepOptions.has(key) && !said.includes(key))
      .map((key) => `${name} ${key}`);
  });
  expect(left).toEqual([]);
  const common = spans.flatMap(({ name }) => /^StepOptions\.(\w+)$/.exec(name)?.[1] ?? []);
  expect([...common].sort()).toEqual([...stepOptions].sort());
});

it("has a row for everything that Python has", () => {
  const said = rows.flatMap((row) => row.python);
  const missing = Object.entries(python).flatMap(([name, keywords]) => {
    const span = said.find((code) => code === name || code.startsWith(`${name}(`));
    if (span === undefined) return [name];
    const words: readonly string[] = span.slice(name.length).match(/\w+/g) ?? [];
    return keywords
      .split(" ")
      .filter((word) => word !== "" && !words.includes(word))
      .map((word) => `${name} ${word}`);
  });
  expect(missing).toEqual([]);
});

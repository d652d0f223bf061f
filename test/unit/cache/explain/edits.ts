import { defineStep } from "../../../../src/image/define-step.js";
import { Image } from "../../../../src/image/image.js";
import { Secret } from "../../../../src/image/secret.js";
import type { AddLocalDirOptions } from "../../../../src/image/steps/add-local.js";
import type { RunCommandsOptions } from "../../../../src/image/steps/run-commands.js";
import type { Cause } from "../../../../src/model/cause.js";
import type { Scene, SceneFile, World } from "./scene.js";

/** Why a step runs: its cause's kind and text. */
export type ExpectedCause = readonly [kind: Cause["kind"], text: string | RegExp];

/** One change of a chain or of what it is built in. */
export interface Edit {
  readonly name: string;
  readonly before: Scene;
  readonly after: Scene;
  /** The steps that run after the edit, by index; all others are cached, or make nothing. */
  readonly runs: Readonly<Record<number, ExpectedCause>>;
  /**
   * What a real engine needs for it: a base with installers (`index`), a `registry` whose tags move, another `platform`, a
   * Dockerfile `frontend`, a `device`. Default: nothing but a busybox.
   */
  readonly needs?: "index" | "registry" | "platform" | "frontend" | "device";
}

const base = "busybox:latest";

const files: Readonly<Record<string, SceneFile>> = {
  "src/app.py": "print(1)",
  "src/lib/a.py": "a",
  "src/lib/b.py": "b",
  "src/lib/c.py": "c",
  "src/lib/d.py": "d",
  "src/notes.tmp": "not copied",
  "src/run.sh": { text: "#!/bin/sh", mode: 0o755 },
};

interface Parts {
  readonly base?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly commands?: readonly string[];
  readonly options?: RunCommandsOptions;
  readonly dir?: string;
  readonly target?: string;
  readonly copy?: Partial<AddLocalDirOptions>;
  readonly last?: readonly string[];
  readonly cmd?: readonly string[];
}

/** base, env, runCommands, addLocalDir, runCommands, cmd. */
function chain(parts: Parts = {}): Image {
  return Image.fromRegistry(parts.base ?? base)
    .env(parts.env ?? { FOO: "a", BAR: "b" })
    .runCommands([...(parts.commands ?? ["echo one > /one", "echo two > /two"])], parts.options ?? {})
    .addLocalDir(parts.dir ?? "src", parts.target ?? "/app", { copy: true, ignore: ["*.tmp"], ...parts.copy })
    .runCommands([...(parts.last ?? ["ls / > /listed"])])
    .cmd(parts.cmd ?? ["sh"]);
}

/** What most edits are changes of. */
export const plain: Scene = { image: chain(), world: { files } };

/** The plain chain with other parts. */
function edit(name: string, parts: Parts, runs: Edit["runs"], from: Parts = {}, needs?: Edit["needs"]): Edit {
  return {
    name,
    before: { image: chain(from), world: { files } },
    after: { image: chain(parts), world: { files } },
    runs,
    ...(needs === undefined ? {} : { needs }),
  };
}

/** The plain chain in another world. */
function change(name: string, world: World, runs: Edit["runs"], more: Partial<Edit> = {}): Edit {
  return { name, before: plain, after: { image: plain.image, world: { files, ...world } }, runs, ...more };
}

/** The plain chain with other files in `src`; `undefined` = it is gone. */
function touch(name: string, changes: Readonly<Record<string, SceneFile | undefined>>, text: string): Edit {
  const entries = Object.entries({ ...files, ...changes });
  const next = Object.fromEntries(
    entries.flatMap(([path, file]) => (file === undefined ? [] : [[path, file]])),
  );
  return change(name, { files: next }, { 3: ["files", text], 4: earlier(4, "addLocalDir") });
}

/** Another chain before and after. */
function chains(
  name: string,
  before: Image,
  after: Image,
  runs: Edit["runs"],
  more: Partial<Edit> & { world?: World } = {},
): Edit {
  const { world = { files }, ...rest } = more;
  return { name, before: { image: before, world }, after: { image: after, world }, runs, ...rest };
}

function earlier(step: number, id: string, what = "changed"): ExpectedCause {
  return ["earlier-step", `step ${step} ${id} before it ${what}`];
}

const afterBase = {
  2: earlier(1, "fromRegistry"),
  3: earlier(1, "fromRegistry"),
  4: earlier(1, "fromRegistry"),
};
const afterEnv = { 2: earlier(2, "env"), 3: earlier(2, "env"), 4: earlier(2, "env") };
const afterRun = { 3: earlier(3, "runCommands"), 4: earlier(3, "runCommands") };

const python = (
  packages: readonly string[],
  more: { readonly indexUrl?: string; readonly pre?: boolean } = {},
): Image =>
  Image.fromRegistry("python:3.13-slim")
    .pipInstall([...packages], more)
    .runCommands("pip list");
const afterPip = { 2: earlier(2, "pipInstall") };

const apt = (...packages: readonly string[]): Image =>
  Image.fromRegistry("debian:12").aptInstall([...packages]);

const requirements = Image.fromRegistry("python:3.13-slim").pipInstallFromRequirements("requirements.txt");

const steps = (...commands: readonly string[]): Image =>
  commands.reduce((image, command) => image.runCommands(`: ${command}`), Image.fromRegistry(base));

const secretly = (...names: readonly string[]): Image =>
  Image.fromRegistry(base).runCommands("echo hidden", { secrets: names.map((name) => Secret.fromEnv(name)) });

const versioned = Image.fromRegistry(base).runCommands("echo hidden", {
  secrets: [Secret.fromEnv("TOKEN").versioned()],
});

const copied = (command: string, from = "/one", tag = "debian:bookworm-slim"): Image =>
  Image.fromRegistry(base)
    .copyFrom(Image.fromRegistry(tag).env({ IN: "it" }).runCommands(command), from)
    .runCommands("true");

const dockerfile = Image.fromDockerfile("Dockerfile").runCommands("true");
const dockerFiles = (text: string, more: Readonly<Record<string, SceneFile>> = {}): World => ({
  files: { ...files, Dockerfile: text, ...more },
});

/** A step of a user's own, which does what its version says. */
export const custom = (version: number, command: string) =>
  defineStep({
    id: "custom",
    version,
    validate: (input: { readonly level: number }) => input,
    title: ({ level }) => `custom ${level}`,
    lower: (state, { level }, context) => context.run(state, { script: `${command} ${level}` }),
  });

const token = `ghp_${"a1B2".repeat(10)}`;
const otherToken = `ghp_${"c3D4".repeat(10)}`;

/** Single changes of chains and of what they are built in, and what each makes run. */
export const edits: readonly Edit[] = [
  { name: "nothing", before: plain, after: plain, runs: {} },
  edit(
    "a command",
    { commands: ["echo one > /one", "echo 2 > /two"] },
    {
      2: ["arguments", 'command changed: "echo two > /two" → "echo 2 > /two"'],
      ...afterRun,
    },
  ),
  edit(
    "a long command",
    { commands: [`: ${"x".repeat(80)} --new`, "echo two > /two"] },
    {
      2: ["arguments", /^command changed: "…x{13} --old" → "…x{13} --new"$/],
      ...afterRun,
    },
    { commands: [`: ${"x".repeat(80)} --old`, "echo two > /two"] },
  ),
  edit(
    "a command more",
    { commands: ["echo one > /one", "echo two > /two", "true"] },
    {
      2: ["arguments", 'command added: "true"'],
      ...afterRun,
    },
  ),
  edit(
    "a command less",
    { commands: ["echo one > /one"] },
    // The command that is left has run, and is known.
    afterRun,
  ),
  edit(
    "the order of commands",
    { commands: ["echo two > /two", "echo one > /one"] },
    {
      2: ["arguments", "order of commands changed"],
      ...afterRun,
    },
  ),
  edit(
    "the last command",
    { last: ["ls -l / > /listed"] },
    {
      4: ["arguments", 'command changed: "ls / > /listed" → "ls -l / > /listed"'],
    },
  ),
  edit("the image's command", { cmd: ["true"] }, {}),
  edit("a step's title", { options: { name: "install", timeoutMs: 1000 } }, {}),
  edit("a variable", { env: { FOO: "c", BAR: "b" } }, afterEnv),
  edit("a variable more", { env: { FOO: "a", BAR: "b", BAZ: "z" } }, afterEnv),
  edit("a variable less", { env: { FOO: "a" } }, afterEnv),
  edit("the order of variables", { env: { BAR: "b", FOO: "a" } }, afterEnv),
  edit(
    "a step's own variable",
    { options: { env: { LEVEL: "2" } } },
    {
      2: ["arguments", "env LEVEL changed: 1 → 2"],
      ...afterRun,
    },
    { options: { env: { LEVEL: "1" } } },
  ),
  edit(
    "a new variable of a step",
    { options: { env: { LEVEL: "2" } } },
    {
      2: ["arguments", "env LEVEL added: 2"],
      ...afterRun,
    },
  ),
  edit(
    "a variable that a step no longer has",
    {},
    {
      2: ["arguments", "env LEVEL removed"],
      ...afterRun,
    },
    { options: { env: { LEVEL: "1" } } },
  ),
  edit(
    "a variable that looks like a secret",
    { options: { env: { GITHUB_TOKEN: otherToken } } },
    {
      2: ["arguments", "env GITHUB_TOKEN changed: what is masked"],
      ...afterRun,
    },
    { options: { env: { GITHUB_TOKEN: token } } },
  ),
  edit(
    "a command that holds a token",
    { commands: [`: fetch --token ${otherToken}`] },
    {
      2: ["arguments", "command changed: what is masked"],
      ...afterRun,
    },
    { commands: [`: fetch --token ${token}`] },
  ),
  edit(
    "a device",
    { options: { gpu: "vendor.com/gpu=1" } },
    {
      2: ["arguments", "gpu changed: vendor.com/gpu=0 → vendor.com/gpu=1"],
      ...afterRun,
    },
    { options: { gpu: "vendor.com/gpu=0" } },
    "device",
  ),
  edit(
    "a new device",
    { options: { gpu: "vendor.com/gpu=0" } },
    {
      2: ["arguments", "gpu added: vendor.com/gpu=0"],
      ...afterRun,
    },
    undefined,
    "device",
  ),
  edit(
    "certificates of a step",
    { options: { caBundle: "ca.pem" } },
    {
      2: ["setting", "caBundle added: ca.pem"],
      ...afterRun,
    },
  ),
  edit(
    "a forced step",
    { options: { forceBuild: true } },
    { 2: ["forced", "forced"], 3: ["forced", "forced"], 4: ["forced", "forced"] },
  ),
  edit(
    "a forced step that changed",
    { options: { forceBuild: true }, commands: ["true"] },
    {
      2: ["forced", "forced"],
      3: ["forced", "forced"],
      4: ["forced", "forced"],
    },
  ),
  edit(
    "where a directory goes",
    { target: "/srv" },
    {
      3: ["arguments", "remotePath changed: /app → /srv"],
      4: earlier(4, "addLocalDir"),
    },
  ),
  chains(
    "modes of copied files",
    chain(),
    chain({ copy: { mode: "normalize" } }),
    {
      3: ["arguments", "mode changed: own → normalize; mode of 1 of 6 files changed: app.py"],
      4: earlier(4, "addLocalDir"),
    },
    { world: { files: { ...files, "src/app.py": { text: "print(1)", mode: 0o600 } } } },
  ),
  edit("modes that are normal already", { copy: { mode: "normalize" } }, {}),
  edit(
    "times of copied files",
    { copy: { mtime: "keep" } },
    {
      3: ["arguments", "keepMtime added: true"],
      4: earlier(4, "addLocalDir"),
    },
  ),
  edit(
    "an ignore rule",
    { copy: { ignore: ["*.tmp", "*.sh"] } },
    {
      3: ["arguments", "ignore rule changed: + *.sh; 1 of 6 files removed: run.sh"],
      4: earlier(4, "addLocalDir"),
    },
  ),
  edit(
    "an ignore rule that is gone",
    { copy: { ignore: [] } },
    {
      3: ["arguments", "ignore rule changed: − *.tmp; 1 of 7 files added: notes.tmp"],
      4: earlier(4, "addLocalDir"),
    },
  ),
  edit("an ignore rule that matches nothing", { copy: { ignore: ["*.tmp", "*.log"] } }, {}),
  edit(
    "another base",
    { base: "debian:bookworm-slim" },
    { 0: ["base-changed", "base changed: busybox:latest → debian:bookworm-slim"], ...afterBase },
  ),
  edit("another name of the same base", { base: "docker.io/library/busybox:latest" }, {}),
  change(
    "a tag that moved",
    { tags: { [base]: "moved" } },
    {
      0: ["base-moved", /^base tag moved: sha256:[0-9a-f]{12}… → sha256:[0-9a-f]{12}…$/],
      ...afterBase,
    },
    { needs: "registry" },
  ),
  change(
    "the platform",
    { platform: "linux/arm64" },
    {
      0: ["setting", "platform changed: linux/amd64 → linux/arm64"],
      2: ["setting", "platform changed: linux/amd64 → linux/arm64"],
      3: earlier(1, "fromRegistry"),
      4: ["setting", "platform changed: linux/amd64 → linux/arm64"],
    },
    { needs: "platform" },
  ),
  change(
    "the time of copied files",
    { sourceDateEpoch: 1_700_000_000 },
    {
      3: ["setting", "SOURCE_DATE_EPOCH changed: default → 1700000000"],
      4: earlier(4, "addLocalDir"),
    },
  ),
  change(
    "certificates of the build",
    { caBundle: true },
    {
      2: ["setting", "caBundle added: of the build"],
      3: earlier(3, "runCommands"),
      4: ["setting", "caBundle added: of the build"],
    },
  ),
  change("a new version of the package", { packageVersion: "0.2.0" }, {}),
  change(
    "a forced build",
    { force: true },
    { 2: ["forced", "forced"], 3: ["forced", "forced"], 4: ["forced", "forced"] },
  ),
  touch("a file", { "src/app.py": "print(2)" }, "1 of 6 files changed: app.py"),
  change("a file that is not copied", { files: { ...files, "src/notes.tmp": "other" } }, {}),
  touch("a new file", { "src/new.py": "new" }, "1 of 7 files added: new.py"),
  touch("a file that is gone", { "src/lib/d.py": undefined }, "1 of 6 files removed: lib/d.py"),
  touch("a file's mode", { "src/run.sh": "#!/bin/sh" }, "mode of 1 of 6 files changed: run.sh"),
  touch(
    "a file's name",
    { "src/app.py": undefined, "src/main.py": "print(1)" },
    "1 of 6 files renamed: app.py → main.py",
  ),
  touch(
    "many files",
    { "src/app.py": "2", "src/lib/a.py": "2", "src/lib/b.py": "2", "src/lib/c.py": "2", "src/lib/d.py": "2" },
    "5 of 6 files changed: app.py, lib/a.py, lib/b.py … and 2 more",
  ),
  touch(
    "several things",
    { "src/app.py": "2", "src/lib/a.py": undefined, "src/lib/z.py": "z", "src/run.sh": "#!/bin/sh" },
    "4 of 7 files changed: app.py, run.sh (mode), + lib/z.py … and 1 more",
  ),
  {
    ...edit("a directory of another name with the same files", { dir: "copy" }, {}),
    ...sameFilesElsewhere(),
  },
  {
    name: "a single file",
    before: { image: filed(), world: { files: { "settings.toml": "a" } } },
    after: { image: filed(), world: { files: { "settings.toml": "b" } } },
    runs: { 1: ["files", "settings.toml changed"] },
  },
  chains("a new step", steps("one", "two"), steps("one", "new", "two"), {
    2: ["new-step", "new step"],
    3: earlier(3, "runCommands", "is new"),
  }),
  chains("a step less", steps("one", "two", "three"), steps("one", "three"), {
    2: earlier(3, "runCommands", "was removed"),
  }),
  chains("a step that moved", steps("one", "two", "three", "four"), steps("one", "three", "two", "four"), {
    2: earlier(3, "runCommands", "was moved"),
    3: ["moved-step", "moved: it was step 3"],
    4: earlier(3, "runCommands", "was moved"),
  }),
  chains("a step twice", steps("one", "two"), steps("one", "one", "two"), {
    2: ["new-step", "new step"],
    3: earlier(3, "runCommands", "is new"),
  }),
  chains("a new step at the end", steps("one"), steps("one", "two"), { 2: ["new-step", "new step"] }),
  chains(
    "a label",
    Image.fromRegistry(base).label({ a: "1" }).runCommands("true"),
    Image.fromRegistry(base).label({ a: "2" }).runCommands("true"),
    {},
  ),
  chains(
    "the directory",
    Image.fromRegistry(base).workdir("/a").runCommands("true"),
    Image.fromRegistry(base).workdir("/b").runCommands("true"),
    { 2: earlier(2, "workdir") },
  ),
  chains(
    "the user",
    Image.fromRegistry(base).user("a").runCommands("true"),
    Image.fromRegistry(base).user("b").runCommands("true"),
    {},
  ),
  chains(
    "the shell",
    Image.fromRegistry(base).shell(["/bin/sh", "-c"]).runCommands("true"),
    Image.fromRegistry(base).shell(["/bin/sh", "-ec"]).runCommands("true"),
    { 2: earlier(2, "shell") },
  ),
  chains(
    "a new variable before",
    steps("one"),
    Image.fromRegistry(base).env({ A: "1" }).runCommands(": one"),
    {
      2: earlier(2, "env", "is new"),
    },
  ),
  chains("a variable after", steps("one"), steps("one").env({ A: "1" }), {}),
  chains(
    "a package's version",
    python(["numpy", "six"]),
    python(["numpy==2.1", "six"]),
    {
      1: ["arguments", "packages changed: numpy → numpy==2.1"],
      ...afterPip,
    },
    { needs: "index" },
  ),
  chains(
    "a package more",
    python(["numpy"]),
    python(["numpy", "scipy"]),
    {
      1: ["arguments", "packages changed: + scipy"],
      ...afterPip,
    },
    { needs: "index" },
  ),
  chains(
    "a package less",
    python(["numpy", "scipy"]),
    python(["numpy"]),
    {
      1: ["arguments", "packages changed: − scipy"],
      ...afterPip,
    },
    { needs: "index" },
  ),
  chains(
    "many packages",
    python(["a", "b", "c", "d", "e"]),
    python(["a==1", "b==1", "c==1", "d==1", "f"]),
    {
      1: ["arguments", "packages changed: a → a==1, b → b==1, c → c==1 … and 3 more"],
      ...afterPip,
    },
    { needs: "index" },
  ),
  chains(
    "the order of packages for pip",
    python(["numpy", "six"]),
    python(["six", "numpy"]),
    {},
    { needs: "index" },
  ),
  chains(
    "the order of packages for apt",
    apt("git", "curl"),
    apt("curl", "git"),
    { 1: ["arguments", "order of packages changed"] },
    { needs: "index" },
  ),
  chains(
    "a package of apt",
    apt("git"),
    apt("git=1:2.39.*"),
    { 1: ["arguments", "packages changed: git → git=1:2.39.*"] },
    { needs: "index" },
  ),
  chains(
    "an index",
    python(["six"]),
    python(["six"], { indexUrl: "https://example.com/simple" }),
    {
      1: ["arguments", "pip.indexUrl added: https://example.com/simple"],
      ...afterPip,
    },
    { needs: "index" },
  ),
  chains(
    "a flag of pip",
    python(["six"]),
    python(["six"], { pre: true }),
    {
      1: ["arguments", "pip.pre added: true"],
      ...afterPip,
    },
    { needs: "index" },
  ),
  {
    name: "requirements",
    before: { image: requirements, world: { files: { "requirements.txt": "numpy\nsix\n" } } },
    after: { image: requirements, world: { files: { "requirements.txt": "numpy==2.1\nsix\n" } } },
    runs: { 1: ["files", "requirements.txt changed: numpy → numpy==2.1"] },
    needs: "index",
  },
  {
    name: "requirements that others include",
    before: {
      image: requirements,
      world: { files: { "requirements.txt": "-r more.txt\n", "more.txt": "six" } },
    },
    after: {
      image: requirements,
      world: { files: { "requirements.txt": "-r more.txt\n", "more.txt": "six\nnumpy" } },
    },
    runs: { 1: ["files", "more.txt changed: + numpy"] },
    needs: "index",
  },
  {
    name: "another version of a secret",
    before: { image: versioned, world: { secretVersions: { TOKEN: "1" } } },
    after: { image: versioned, world: { secretVersions: { TOKEN: "2" } } },
    runs: { 1: ["secret", "secret TOKEN has another version"] },
  },
  chains("another secret", secretly("A"), secretly("B"), {
    1: ["secret", "secret changed: Secret.fromEnv(A) → Secret.fromEnv(B)"],
  }),
  chains("a secret more", secretly("A"), secretly("A", "B"), { 1: ["secret", "secret added: B"] }),
  chains("a secret less", secretly("A"), secretly(), { 1: ["secret", "secret removed: A"] }),
  chains("a command of an image that is copied from", copied("echo 1 > /one"), copied("echo 2 > /one"), {
    1: ["arguments", 'image.3 runCommands: command changed: "echo 1 > /one" → "echo 2 > /one"'],
    2: earlier(2, "copyFrom"),
  }),
  chains(
    "the base of an image that is copied from",
    copied("cp /etc/os-release /one"),
    copied("cp /etc/os-release /one", "/one", "debian:trixie-slim"),
    {
      1: ["base-changed", "image.1 fromRegistry: base changed: debian:bookworm-slim → debian:trixie-slim"],
      2: earlier(2, "copyFrom"),
    },
    { needs: "registry" },
  ),
  chains(
    "what is copied from an image",
    copied("echo 1 > /one; echo 2 > /two"),
    copied("echo 1 > /one; echo 2 > /two", "/two"),
    {
      1: ["arguments", "from changed: /one → /two; to changed: /one → /two"],
      2: earlier(2, "copyFrom"),
    },
  ),
  {
    name: "a line of a Dockerfile",
    before: { image: dockerfile, world: dockerFiles(`FROM ${base}\nRUN : one`) },
    after: { image: dockerfile, world: dockerFiles(`FROM ${base}\nRUN : two`) },
    runs: { 0: ["files", "Dockerfile changed: RUN : one → RUN : two"], 1: earlier(1, "fromDockerfile") },
    needs: "frontend",
  },
  {
    name: "the context of a Dockerfile that copies",
    before: { image: dockerfile, world: dockerFiles(`FROM ${base}\nCOPY src /src`) },
    after: { image: dockerfile, world: dockerFiles(`FROM ${base}\nCOPY src /src`, { "src/app.py": "2" }) },
    runs: { 0: ["files", "1 of 8 files changed: src/app.py"], 1: earlier(1, "fromDockerfile") },
    needs: "frontend",
  },
  {
    name: "the context of a Dockerfile that copies nothing",
    before: { image: dockerfile, world: dockerFiles(`FROM ${base}\nRUN : one`) },
    after: { image: dockerfile, world: dockerFiles(`FROM ${base}\nRUN : one`, { "src/app.py": "2" }) },
    runs: {},
    needs: "frontend",
  },
  {
    name: "a tag that a Dockerfile names",
    before: { image: dockerfile, world: dockerFiles(`FROM ${base}\nRUN : one`) },
    after: {
      image: dockerfile,
      world: { ...dockerFiles(`FROM ${base}\nRUN : one`), tags: { [base]: "moved" } },
    },
    runs: { 0: ["base-moved", /^base tag moved: sha256:/], 1: earlier(1, "fromDockerfile") },
    needs: "registry",
  },
  chains(
    "lines of a Dockerfile",
    Image.fromRegistry(base).dockerfileCommands("RUN : one"),
    Image.fromRegistry(base).dockerfileCommands("RUN : two"),
    {
      1: ["arguments", 'line changed: "RUN : one" → "RUN : two"'],
    },
    { needs: "frontend" },
  ),
  chains(
    "the user of Dockerfile lines",
    Image.fromRegistry(base).user("1000").dockerfileCommands("RUN : one"),
    Image.fromRegistry(base).user("1000").dockerfileCommands("RUN : one", "RUN : two"),
    {
      2: ["arguments", 'line added: "RUN : two"'],
    },
    { needs: "frontend" },
  ),
  chains(
    "an argument of a step of one's own",
    Image.fromRegistry(base).step(custom(1, "echo"), { level: 1 }),
    Image.fromRegistry(base).step(custom(1, "echo"), { level: 2 }),
    {
      1: ["arguments", "level changed: 1 → 2"],
    },
  ),
  chains(
    "what a step of one's own does",
    Image.fromRegistry(base).step(custom(1, "echo"), { level: 1 }).runCommands("true"),
    Image.fromRegistry(base).step(custom(1, "printf"), { level: 1 }).runCommands("true"),
    {
      1: ["arguments", "custom does something else now"],
      2: earlier(2, "custom"),
    },
  ),
];

function filed(): Image {
  return Image.fromRegistry(base).addLocalFile("settings.toml", "/etc/settings.toml", { copy: true });
}

function sameFilesElsewhere(): Pick<Edit, "before" | "after"> {
  const copies = Object.entries(files).map(([path, file]) => [path.replace(/^src/, "copy"), file] as const);
  const world: World = { files: { ...files, ...Object.fromEntries(copies) } };
  return { before: { image: chain(), world }, after: { image: chain({ dir: "copy" }), world } };
}

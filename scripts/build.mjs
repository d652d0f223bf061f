// Compiles src to dist: the compiler's declarations, and its modules joined into a file an entry point and what they
// share, with the small packages that they use. A program starts in a fifth of the time when it opens a few files instead
// of hundreds.
//
// The compiler writes into a folder of its own, which takes dist's place only when everything compiled: dist
// never holds files of sources that are gone, and a failed build leaves the former one in use.
//
// Exits with the compiler's exit code.

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

/**
 * Which modules come into one file, most wanted first: those that are loaded with these modules, but for what is in a
 * file before. Whatever else several files need, the bundler puts where it likes.
 *
 * What every process needs that builds or makes chains: opening and linking a file takes longer than reading code that
 * this process does not need.
 */
const FILES = [
  { name: "start", of: ["cli/main"] },
  { name: "core", of: ["index"] },
  { name: "program", of: ["cli/program"] },
  { name: "build", of: ["cli/commands/build"] },
  { name: "local", of: ["engine/run-build"] },
  { name: "made", of: ["engine/carry-out"] },
];

/**
 * Dependencies whose code becomes part of the files as well, since processes load it that live for a second: of single
 * files, a hundred and fifty for one connection, reading takes longer than compiling. They stay dependencies for the types
 * that declarations name.
 */
const joined = ["@bufbuild/protobuf", "@grpc/grpc-js", "protobufjs"];

/** What people read stands in the declarations, and licences in a file of their own: half a megabyte less. */
const COMMENTS = { annotation: true, jsdoc: false, legal: false };

/** Modules of worker threads: `workerEntry` looks for them in `threads`. */
const workers = ["cache/trees/scan-worker", "layers/pack-worker"];

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
// On dist's own file system, so that it can be renamed into place.
mkdirSync(join(root, ".kiln"), { recursive: true });
// The real path: the bundler knows modules by theirs.
const scratch = realpathSync(mkdtempSync(join(root, ".kiln/build-")));
try {
  const modules = join(scratch, "modules");
  const fresh = join(scratch, "fresh");
  const compiled = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", modules], {
    cwd: root,
    stdio: "inherit",
  });
  if (compiled.error !== undefined) throw compiled.error;
  process.exitCode = compiled.status ?? 1;
  if (process.exitCode === 0) {
    await joinModules(modules, fresh);
    const main = join(fresh, "cli/main.js");
    chmodSync(main, 0o755);
    if (existsSync(dist)) renameSync(dist, join(scratch, "former"));
    renameSync(fresh, dist);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/**
 * Joins the compiled modules; the declarations stay as they are. Dependencies, optional ones too, stay outside. Packages
 * that are needed to develop alone become part of the files, with their licences beside.
 */
async function joinModules(from, to) {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const packages = Object.keys({ ...dependencies, ...peerDependencies }).filter(
    (name) => !joined.includes(name),
  );
  const rooms = ["llb", "solver", "oci", "testing", "provision"];
  const names = ["index", ...rooms.map((room) => `${room}/index`), "cli/main"];
  const pathOf = (name) => join(from, `${name}.js`);
  const entries = new Map(names.map((name) => [name, pathOf(name)]));
  let fileOf = new Map();
  const common = {
    // What gRPC loads to read .proto files, which nobody here does.
    external: [/^node:/, /^@grpc\/proto-loader/, ...packages.map((name) => new RegExp(`^${name}(/|$)`))],
    platform: "node",
  };
  const bundle = await rolldown({
    ...common,
    input: Object.fromEntries(entries),
    plugins: [
      {
        name: "files",
        buildEnd() {
          const importsOf = (id) => this.getModuleInfo(id)?.importedIds ?? [];
          fileOf = filesOfModules(pathOf, importsOf, new Set(entries.values()));
        },
      },
    ],
  });
  // Shared files lie one folder down, as deep as the sources they come from: paths relative to a module stay right.
  const { output } = await bundle.write({
    dir: to,
    format: "esm",
    comments: COMMENTS,
    chunkFileNames: "shared/[name]-[hash].js",
    codeSplitting: {
      groups: [
        ...FILES.map(({ name }, index) => ({
          name,
          priority: FILES.length - index,
          test: (id) => fileOf.get(id) === name,
        })),
        // What speaks to daemons, by a name that shows where it is loaded.
        { name: "grpc", priority: FILES.length + 1, test: /[\\/]node_modules[\\/]@(?:bufbuild|grpc)[\\/]/ },
      ],
    },
  });
  await bundle.close();
  // Threads share no code with the rest: each would compile all that lies beside it in a shared file.
  for (const worker of workers) {
    const thread = await rolldown({ ...common, input: pathOf(worker) });
    const file = join(to, "threads", `${basename(worker)}.js`);
    output.push(...(await thread.write({ file, format: "esm", comments: COMMENTS })).output);
    await thread.close();
  }
  writeFileSync(join(to, "THIRD-PARTY-NOTICES"), noticesOf(output));
  // The command line is no part of the package's interface, and its declarations name what is not installed with it.
  const kept = (path) => !/\.js(?:\.map)?$/.test(path) && path !== join(from, "cli");
  cpSync(from, to, { recursive: true, filter: kept });
}

/** The file of {@link FILES} that each module belongs to, by path. */
function filesOfModules(pathOf, importsOf, entries) {
  const files = new Map();
  for (const { name, of } of FILES) {
    const reached = new Set(of.map(pathOf));
    for (const id of reached) {
      // An entry runs where it is imported: it must not lie beside what others import.
      if (!files.has(id) && !entries.has(id)) files.set(id, name);
      for (const imported of importsOf(id)) reached.add(imported);
    }
  }
  return files;
}

/** The licences of the packages whose code is in the output. */
function noticesOf(output) {
  const packages = new Map();
  for (const id of output.flatMap(({ modules = {} }) => Object.keys(modules))) {
    const home = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id.replaceAll("\\", "/"))?.[0];
    if (home === undefined) continue;
    const { name, license } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
    if (!packages.has(name)) packages.set(name, { home, license, files: [] });
    packages.get(name).files.push(id);
  }
  const sorted = [...packages].sort(([a], [b]) => (a < b ? -1 : 1));
  const notices = sorted.map(([name, { home, license, files }]) => {
    const file = readdirSync(home).find((each) => /^licen[cs]e(?:\.(?:md|txt))?$/i.test(each));
    const text = file === undefined ? noticesIn(files) : readFileSync(join(home, file), "utf8");
    if (text === "") throw new Error(`${name} has no licence to pass on`);
    return `${name}${file === undefined ? `, ${license}` : ""}\n\n${text.trim()}\n`;
  });
  return `These packages are part of the files in this folder.\n\n${notices.join(`\n${"-".repeat(80)}\n\n`)}`;
}

/** The notices with which the files of a package begin that has no file of its own for them. */
function noticesIn(files) {
  const notices = files.flatMap((file) => {
    const [, lines] = /^((?:\/\/.*\n)+)/.exec(readFileSync(file.replace(/^\0|\?.*$/g, ""), "utf8")) ?? [];
    return lines === undefined ? [] : [lines.replaceAll(/^\/\/ ?/gm, "")];
  });
  return [...new Set(notices.filter((text) => /copyright/i.test(text)))].join("\n");
}

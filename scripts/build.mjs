// Compiles src to dist: the compiler's declarations, and its modules joined into a file an entry point and what they
// share. A program starts in half the time when it opens thirty files instead of four hundred.
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
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
// On dist's own file system, so that it can be renamed into place.
mkdirSync(join(root, ".kiln"), { recursive: true });
const scratch = mkdtempSync(join(root, ".kiln/build-"));
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

/** Joins the compiled modules; the declarations stay as they are. Dependencies, optional ones too, stay outside. */
async function joinModules(from, to) {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const packages = Object.keys({ ...dependencies, ...peerDependencies });
  const names = ["index", ...["llb", "solver", "oci", "testing", "provision"].map((room) => `${room}/index`)];
  // Modules of worker threads: `workerEntry` looks for them in `threads`.
  const workers = ["cache/scan-worker", "layers/pack-worker"];
  const input = [
    ...[...names, "cli/main"].map((name) => [name, join(from, `${name}.js`)]),
    ...workers.map((name) => [`threads/${basename(name)}`, join(from, `${name}.js`)]),
  ];
  const bundle = await rolldown({
    input: Object.fromEntries(input),
    external: [/^node:/, ...packages.map((name) => new RegExp(`^${name}(/|$)`))],
    platform: "node",
  });
  // Shared files lie one folder down, as deep as the sources they come from: paths relative to a module stay right.
  await bundle.write({ dir: to, format: "esm", chunkFileNames: "shared/[name]-[hash].js" });
  await bundle.close();
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith(".js") && !path.endsWith(".js.map") });
}

// Compiles src to dist.
//
// The compiler writes into a folder of its own, which takes dist's place only when everything compiled: dist
// never holds files of sources that are gone, and a failed build leaves the former one in use.
//
// Exits with the compiler's exit code.

import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
// On dist's own file system, so that it can be renamed into place.
mkdirSync(join(root, ".kiln"), { recursive: true });
const scratch = mkdtempSync(join(root, ".kiln/build-"));
try {
  const fresh = join(scratch, "fresh");
  const compiled = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", fresh], {
    cwd: root,
    stdio: "inherit",
  });
  if (compiled.error !== undefined) throw compiled.error;
  process.exitCode = compiled.status ?? 1;
  if (process.exitCode === 0) {
    const main = join(fresh, "cli/main.js");
    if (existsSync(main)) chmodSync(main, 0o755);
    if (existsSync(dist)) renameSync(dist, join(scratch, "former"));
    renameSync(fresh, dist);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

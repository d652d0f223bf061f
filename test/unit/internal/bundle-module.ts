import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const source = fileURLToPath(new URL("../../../src", import.meta.url));

/** Joins a module of `src` into one file that a process of its own can import; gives the file's path. */
export async function bundleModule(path: string, dir: string): Promise<string> {
  const bundle = await rolldown({ input: join(source, path), external: [/^node:/], platform: "node" });
  const file = join(dir, "module.mjs");
  await bundle.write({ file, format: "esm", codeSplitting: false });
  await bundle.close();
  return file;
}

import { access } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { KilnError } from "../errors.js";
import { Image } from "../image/image.js";

const typescript = new Set([".ts", ".mts"]);
const javascript = new Set([".js", ".mjs"]);

/**
 * Loads an image from a recipe: `FILE` (its default export) or `FILE#export`.
 *
 * The export is an `Image`, or a function that returns one (or a promise of one). TypeScript files are loaded
 * by jiti, which is itself loaded only then. Rejects with `ERR_KILN_RECIPE` or `ERR_KILN_FILE_NOT_FOUND`;
 * what the recipe itself throws of Kiln's errors passes through.
 */
export async function loadRecipe(spec: string, cwd: string): Promise<Image> {
  const hash = spec.lastIndexOf("#");
  const file = resolve(cwd, hash < 0 ? spec : spec.slice(0, hash));
  const name = hash < 0 ? "default" : spec.slice(hash + 1);
  const exports = await importFile(file);
  if (!(name in exports)) {
    const names = Object.keys(exports);
    throw new KilnError("ERR_KILN_RECIPE", `${file} exports no "${name}"`, {
      hint:
        names.length === 0
          ? "Write: export default Image.fromRegistry(…)…"
          : `It exports ${names.join(", ")}: name one, e.g. ${spec.replace(/#.*$/, "")}#${names[0]}.`,
    });
  }
  const value = exports[name];
  const image: unknown = typeof value === "function" ? await (value as () => unknown)() : await value;
  if (Image.isImage(image)) return image;
  throw new KilnError("ERR_KILN_RECIPE", `the export "${name}" of ${file} is no Image`, {
    hint: "Export an Image, or a function that returns one.",
  });
}

async function importFile(file: string): Promise<Readonly<Record<string, unknown>>> {
  const extension = extname(file);
  if (!typescript.has(extension) && !javascript.has(extension)) {
    throw new KilnError("ERR_KILN_RECIPE", `${file} is no recipe: a recipe ends in .ts, .mts, .js or .mjs`, {
      hint: "E.g. kiln build image.ts",
    });
  }
  try {
    await access(file);
  } catch (error) {
    throw new KilnError("ERR_KILN_FILE_NOT_FOUND", `no such recipe: ${file}`, {
      cause: error,
      hint: "kiln build FILE[#export], e.g. kiln build image.ts",
    });
  }
  try {
    if (javascript.has(extension)) return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    const { createJiti } = await import("jiti");
    return await createJiti(import.meta.url, { fsCache: false }).import<Record<string, unknown>>(file);
  } catch (error) {
    if (error instanceof KilnError) throw error;
    const reason = error instanceof Error ? error : new Error(String(error));
    throw new KilnError("ERR_KILN_RECIPE", `cannot load ${file}: ${reason.message}`, {
      cause: error,
      location: recipeLocation(reason, file),
      hint: "It failed while it was loaded, before anything was built.",
    });
  }
}

function recipeLocation(
  error: Error,
  file: string,
): { file: string; line: number; column: number } | undefined {
  const stack = `${error.message}\n${error.stack ?? ""}`.replaceAll(/file:\/\/[^\s:)]+/g, (url) =>
    fileURLToPath(url),
  );
  const escaped = file.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const match = new RegExp(`${escaped}:(\\d+)(?::(\\d+))?`).exec(stack);
  return match === null ? undefined : { file, line: Number(match[1]), column: Number(match[2] ?? 1) };
}

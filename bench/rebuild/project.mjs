// What a developer has: a folder with a recipe, a Dockerfile of the same chain, and the sources, which both copy.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { context } from "../support/contexts.mjs";

const entry = JSON.stringify(join(import.meta.dirname, "..", "..", "dist", "index.js"));

/** Makes a project. `before` and `after` are the commands before and after the sources are copied. */
export function makeProject(dir, { files, prefix, base, before = [], after = [] }) {
  mkdirSync(dir, { recursive: true });
  copyTree(context(files, prefix).dir, join(dir, "sources"));
  const runs = (commands) => commands.map((command) => `RUN ${command}\n`).join("");
  const calls = (commands) =>
    commands.map((command) => `\n  .runCommands(${JSON.stringify(command)})`).join("");
  writeFileSync(join(dir, "Dockerfile"), `FROM ${base}\n${runs(before)}COPY . /context\n${runs(after)}`);
  writeFileSync(
    join(dir, "recipe.mjs"),
    `import { Image } from ${entry};\nexport default Image.fromRegistry(${JSON.stringify(base)})${calls(before)}` +
      `\n  .addLocalDir("sources", "/context", { copy: true })${calls(after)};\n`,
  );
  return project(dir);
}

/** A copy at another place, made as a fresh clone is: new inodes, the time of every file is now. */
export function cloneProject({ dir }, to) {
  copyTree(dir, to);
  return project(to);
}

/** Gives a file other content, as an editor does that writes in place: `index` = which one, `text` = what is new. */
export function editFile({ sources }, index, text) {
  const folders = readdirSync(sources).sort();
  const perFolder = readdirSync(join(sources, folders[0])).sort();
  const folder = join(sources, folders[Math.floor(index / perFolder.length)]);
  const file = join(folder, readdirSync(folder).sort()[index % perFolder.length]);
  const former = readFileSync(file);
  writeFileSync(
    file,
    Buffer.concat([Buffer.from(`// ${text}\n`), former.subarray(former.indexOf("\n") + 1)]),
  );
}

function project(dir) {
  return {
    dir,
    sources: join(dir, "sources"),
    recipe: join(dir, "recipe.mjs"),
    dockerfile: join(dir, "Dockerfile"),
  };
}

function copyTree(from, to) {
  rmSync(to, { recursive: true, force: true });
  const { status, stderr } = spawnSync("cp", ["-r", from, to]);
  if (status !== 0) throw new Error(`cannot copy ${from}: ${stderr}`);
}

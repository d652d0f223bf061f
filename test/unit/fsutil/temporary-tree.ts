import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";

/** What to make at a path: file content, or a description of something else. */
export type Entry =
  | string
  | { readonly dir: true; readonly mode?: number }
  | { readonly file: string | Uint8Array; readonly mode?: number }
  | { readonly symlink: string }
  | { readonly link: string };

/** An empty directory that is removed after the test. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "kiln-fsutil-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A temporary directory with the entries given by relative path; parents are made as needed. */
export function temporaryTree(entries: Readonly<Record<string, Entry>>): string {
  const root = temporaryDirectory();
  for (const [path, entry] of Object.entries(entries)) makeEntry(root, path, entry);
  return root;
}

/** Makes one entry, and the directories above it. */
export function makeEntry(root: string, path: string, entry: Entry): void {
  const absolute = join(root, path);
  mkdirSync(dirname(absolute), { recursive: true });
  if (typeof entry === "string") writeFileSync(absolute, entry);
  else if ("symlink" in entry) symlinkSync(entry.symlink, absolute);
  else if ("link" in entry) linkSync(join(root, entry.link), absolute);
  else if ("file" in entry) writeFileSync(absolute, entry.file, { mode: entry.mode ?? 0o644 });
  else mkdirSync(absolute, { recursive: true, mode: entry.mode ?? 0o755 });
  if (typeof entry === "string" || "file" in entry) utimesSync(absolute, 1_700_000_000, 1_700_000_000);
}

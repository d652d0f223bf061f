import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

// A set-up file of the projects that build: each test file has an index of its own, which engines, the CLI and whatever
// else it starts find by the environment. What one file built is no news to another, and nobody's own cache is touched.
const dir = mkdtempSync(join(tmpdir(), "kiln-cache-"));
process.env["KILN_CACHE_DIR"] = dir;
delete process.env["KILN_CACHE"];

// Hooks end in reverse order: this one after those of the file.
afterAll(() => {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
});

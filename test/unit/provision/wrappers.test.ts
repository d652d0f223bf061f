import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeProgramWrappers } from "../../../src/provision/wrappers.js";

test("wrappers name the packages by their real path, whichever way led to them", async () => {
  const dir = mkdtempSync(join(tmpdir(), "kiln-wrappers-"));
  try {
    mkdirSync(join(dir, "real/usr/lib/aarch64-linux-gnu"), { recursive: true });
    symlinkSync("real", join(dir, "link"));
    const folder = await writeProgramWrappers(join(dir, "wrappers"), join(dir, "link"));
    expect(readdirSync(folder)).toContain("iptables");
    const script = readFileSync(join(folder, "iptables"), "utf8");
    expect(script).toContain(`exec ${join(dir, "real/usr/sbin/xtables-nft-multi")} iptables "$@"\n`);
    expect(script).toContain(`LD_LIBRARY_PATH=${join(dir, "real/usr/lib/aarch64-linux-gnu")}`);
    expect(script).not.toContain(join(dir, "link"));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

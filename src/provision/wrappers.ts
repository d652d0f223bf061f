import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { writeWhole } from "./prefix.js";

const iptablesNames = [
  "iptables",
  "iptables-save",
  "iptables-restore",
  "ip6tables",
  "ip6tables-save",
  "ip6tables-restore",
];

/**
 * Writes scripts that run the unpacked iptables with the libraries unpacked beside it, and returns their
 * folder for the daemon's PATH.
 *
 * iptables is one program under many names, looks for its extensions in a fixed place, and is the only one of
 * the engine's helpers that needs shared libraries a minimal system may lack. The scripts name the packages by their real
 * path: they are the same for all ways that lead to a prefix, and outlive the one that they were written by.
 */
export async function writeProgramWrappers(folder: string, packages: string): Promise<string> {
  const root = await realpath(packages);
  const [triplet = "x86_64-linux-gnu"] = (await readdir(join(root, "usr", "lib")).catch(() => [])).filter(
    (name) => name.endsWith("-linux-gnu"),
  );
  const libraries = join(root, "usr", "lib", triplet);
  const program = join(root, "usr", "sbin", "xtables-nft-multi");
  for (const name of iptablesNames) {
    const script = [
      "#!/bin/sh",
      `export LD_LIBRARY_PATH=${libraries}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} XTABLES_LIBDIR=${join(libraries, "xtables")}`,
      `exec ${program} ${name} "$@"`,
      "",
    ];
    await writeWhole(join(folder, name), script.join("\n"), 0o755);
  }
  return folder;
}

import type { Machine } from "./machine.js";

/** One place that the machine's apt fetches packages from. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

/**
 * Reads a file in apt's one-line format (`deb [options] uri suite component…`), see sources.list(5).
 *
 * Source packages, comments and lines that make no sense are left out.
 */
export function parseListFile(text: string): readonly AptSource[] {
  const found: AptSource[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
    if (match === null) continue;
    const [, uri = "", suite = "", components = ""] = match;
    found.push({ uri, suites: [suite], components: words(components) });
  }
  return found;
}

/**
 * Reads a file in apt's deb822 format: stanzas of fields, see sources.list(5).
 *
 * Stanzas of source packages and those with `Enabled: no` are left out.
 */
export function parseSourcesFile(text: string): readonly AptSource[] {
  const found: AptSource[] = [];
  // Comment lines are no part of a stanza, and do not end one either.
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  for (const stanza of lines.join("\n").split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    let field = "";
    for (const line of stanza.split("\n")) {
      const start = /^([A-Za-z-]+):(.*)$/.exec(line);
      if (start !== null) field = (start[1] ?? "").toLowerCase();
      const value = start === null ? line : (start[2] ?? "");
      if (field !== "") fields.set(field, `${fields.get(field) ?? ""} ${value}`);
    }
    const of = (name: string): readonly string[] => words(fields.get(name) ?? "");
    if (!of("types").includes("deb") || /^(?:no|false|0)$/i.test(of("enabled")[0] ?? "")) continue;
    for (const uri of of("uris")) found.push({ uri, suites: of("suites"), components: of("components") });
  }
  return found;
}

/** Everything that the machine's apt is configured to fetch from, in apt's own order. */
export async function readAptSources(machine: Machine): Promise<readonly AptSource[]> {
  const found = [...parseListFile((await machine.readText("/etc/apt/sources.list")) ?? "")];
  const folder = "/etc/apt/sources.list.d";
  for (const name of await machine.list(folder)) {
    const parse = name.endsWith(".list")
      ? parseListFile
      : name.endsWith(".sources")
        ? parseSourcesFile
        : undefined;
    if (parse !== undefined) found.push(...parse((await machine.readText(`${folder}/${name}`)) ?? ""));
  }
  return found;
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}

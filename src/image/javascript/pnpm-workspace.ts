/** Patterns of a workspace's members in a `pnpm-workspace.yaml`: its list `packages`, in either way of writing one. */
export function pnpmWorkspace(yaml: string): readonly string[] {
  const lines = yaml.split("\n").map((line) => line.replace(/(?:^|\s)#.*/, "").trimEnd());
  const start = lines.findIndex((line) => /^packages\s*:/.test(line));
  if (start < 0) return [];
  const inline = lines[start]?.replace(/^packages\s*:/, "").trim() ?? "";
  if (inline !== "")
    return inline
      .replace(/^\[|\]$/g, "")
      .split(",")
      .map(unquoted)
      .filter((item) => item !== "");
  const items: string[] = [];
  for (const line of lines.slice(start + 1)) {
    if (line === "") continue;
    const [, item] = /^\s*-\s+(.+)$/.exec(line) ?? [];
    if (item === undefined) break;
    items.push(unquoted(item));
  }
  return items;
}

function unquoted(item: string): string {
  return item.trim().replace(/^(["'])(.*)\1$/, "$2");
}

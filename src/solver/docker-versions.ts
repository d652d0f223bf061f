/**
 * BuildKit generation inside each Docker release line, from the release notes and vendored modules of
 * `moby/moby`. Debian's Docker answers `v0.0.0+unknown` for its BuildKit, so its own version is all there is.
 */
const generations: readonly (readonly [docker: string, buildkit: string])[] = [
  ["23.0", "0.10"],
  ["24.0", "0.11"],
  ["25.0", "0.12"],
  ["26.0", "0.13"],
  ["27.0", "0.14"],
  ["27.1", "0.15"],
  ["27.3", "0.16"],
  ["27.4", "0.17"],
  ["28.0", "0.20"],
  ["28.1", "0.21"],
  ["28.2", "0.22"],
  ["28.3", "0.23"],
  ["28.4", "0.24"],
  ["28.5", "0.25"],
];

/** `[major, minor]` of a version text such as `v0.25.1`, `28.5.2+dfsg1` or `26.1`; `undefined` if it is none. */
function parseMajorMinor(version: string): readonly [major: number, minor: number] | undefined {
  const match = /^v?(\d+)\.(\d+)/.exec(version);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

/** Below zero when `a` is older than `b`, by major and minor alone. */
function compareMajorMinor(a: readonly [number, number], b: readonly [number, number]): number {
  return a[0] - b[0] || a[1] - b[1];
}

/** Whether what has a version is of another one or newer, by major and minor alone; `undefined` where it tells none. */
export function isFrom(version: string | undefined, other: string): boolean | undefined {
  const found = version === undefined ? undefined : parseMajorMinor(version);
  const needed = parseMajorMinor(other);
  return found && needed && compareMajorMinor(found, needed) >= 0;
}

/**
 * The BuildKit version (`major.minor`) inside a Docker of that version: the newest line of the table that is
 * not newer. A Docker newer than the table is at least as new as its last line; older than 23.0: `undefined`.
 */
export function buildkitOfDocker(dockerVersion: string): string | undefined {
  const docker = parseMajorMinor(dockerVersion);
  if (docker === undefined) return undefined;
  let found: string | undefined;
  for (const [line, buildkit] of generations) {
    const from = parseMajorMinor(line);
    if (from !== undefined && compareMajorMinor(from, docker) <= 0) found = buildkit;
  }
  return found;
}

/** `major.minor` of a version that a daemon tells of itself; `undefined` for `v0.0.0+unknown` and the like. */
export function knownVersion(version: string | undefined): string | undefined {
  const parsed = version === undefined ? undefined : parseMajorMinor(version);
  if (parsed === undefined || (parsed[0] === 0 && parsed[1] === 0)) return undefined;
  return `${parsed[0]}.${parsed[1]}`;
}

import { formatPlatform, type Platform } from "../../oci/platform.js";
import type { CacheMount, FileMount } from "../lower-context.js";

// Stands in for Debian's docker-clean while the step runs: that one deletes downloads from the cache mount.
const keepDownloads =
  'APT::Keep-Downloaded-Packages "true";\nBinary::apt::APT::Keep-Downloaded-Packages "true";\n';

/** What a command that runs apt gets: lists and downloads in cache mounts, nothing of either left in the image. */
export function aptMounts(platform: Platform): {
  readonly env: readonly (readonly [string, string])[];
  readonly caches: readonly CacheMount[];
  readonly files: readonly FileMount[];
} {
  const cache = formatPlatform(platform);
  return {
    env: [["DEBIAN_FRONTEND", "noninteractive"]],
    caches: [
      { target: "/var/cache/apt", id: `kiln-apt-archives-${cache}`, sharing: "locked" },
      { target: "/var/lib/apt/lists", id: `kiln-apt-lists-${cache}`, sharing: "locked" },
    ],
    files: [{ target: "/etc/apt/apt.conf.d/docker-clean", content: keepDownloads }],
  };
}

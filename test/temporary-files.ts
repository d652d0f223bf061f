import { readFileSync, statfsSync } from "node:fs";
import { release } from "node:os";

/**
 * The environment of tests that make thousands of small files: temporary ones go into memory, which takes a fifth of the
 * time. Where memory cannot hold or run them, or knows no attributes of users' (before Linux 6.6), it is empty.
 */
export function temporaryFilesInMemory(): Record<string, string> {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  if (process.platform !== "linux" || major < 6 || (major === 6 && minor < 6)) return {};
  try {
    const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
    const options = mounts.find((line) => line.startsWith("tmpfs /dev/shm tmpfs "))?.split(" ")[3];
    if (options === undefined || options.split(",").includes("noexec")) return {};
    const { bavail, bsize } = statfsSync("/dev/shm");
    return bavail * bsize < 2 ** 31 ? {} : { TMPDIR: "/dev/shm" };
  } catch {
    return {};
  }
}

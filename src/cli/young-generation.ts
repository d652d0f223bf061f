import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Releases of Node whose V8 has the flag and heeds it while it runs; another would complain of a flag that it does not know. */
const HEEDING = new Set(["20", "22", "24"]);
/** Bytes of the young generation's two halves that are always let it: below, collecting takes longer than it saves. */
const ENOUGH_BYTES = 8 * 1024 * 1024;
/** How often it is looked at, in milliseconds. */
const LOOK_MS = 10;

/**
 * Keeps V8's young generation about as small as it is when this is called, or 8 MiB: by default it grows to 48 MiB in a build of
 * many files, all of it touched in turn and none given back. For the command line alone, whose process is its own; flags of
 * the user's win.
 *
 * V8 reads the factor by which it grows whenever it might, and sets it to 2 again for each thread that starts.
 */
export function limitYoungGeneration(): void {
  const [major = ""] = process.versions.node.split(".");
  const given = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].join(" ");
  if (!HEEDING.has(major) || given.includes("semi-space")) return;
  setInterval(look, LOOK_MS).unref();
  look();

  function look(): void {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    const isEnough = young !== undefined && young.space_size >= ENOUGH_BYTES;
    if (isEnough) setFlagsFromString("--semi-space-growth-factor=1");
  }
}

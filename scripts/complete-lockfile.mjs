// Adds the entries of optional platform packages that npm left out of package-lock.json.
//
// npm drops an optional package from the lock file when the registry in use does not carry its tarball, and
// `npm ci` then refuses the whole file. Names of such packages say their platform: that, and the exact version
// that their parent asks for, is all an entry needs. Run it after `npm install`.
import { readFileSync, writeFileSync } from "node:fs";

const systems = [
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "aix",
  "win32",
];
const processors = [
  "x64",
  "arm64",
  "arm",
  "armv7",
  "ia32",
  "ppc64",
  "riscv64",
  "s390x",
  "loong64",
  "mips64el",
  "wasm32",
];

const file = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(file, "utf8"));
let added = 0;
for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    const parts = name.split("/").pop().split("-");
    const os = parts.find((part) => systems.includes(part));
    const cpu = parts.find((part) => processors.includes(part));
    if (lock.packages[key] !== undefined || os === undefined || !/^\d/.test(version)) continue;
    lock.packages[key] = {
      version,
      ...(cpu === undefined ? {} : { cpu: [cpu === "armv7" ? "arm" : cpu] }),
      ...(parent.dev === true ? { dev: true } : {}),
      ...(parts.some((part) => part.startsWith("musl")) ? { libc: ["musl"] } : {}),
      optional: true,
      os: [os],
    };
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, undefined, 2)}\n`);
console.log(`${added} entries added`);

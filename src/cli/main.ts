#!/usr/bin/env node
import { enableCompileCache } from "../engine/compile-cache.js";
import { packageVersion } from "./package-version.js";

// Whoever reads the output may stop reading (`kiln history ls | head`): that is no error of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
}

if (process.argv.length === 3 && ["-V", "--version"].includes(process.argv[2] ?? "")) {
  // Without a look at the commands, which takes longer than all the rest.
  process.stdout.write(`${packageVersion()}\n`);
} else {
  enableCompileCache(process.env);
  const { main } = await import("./program.js");
  process.exitCode = await main(process.argv);
}

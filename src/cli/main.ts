#!/usr/bin/env node
import { main } from "./program.js";

// Whoever reads the output may stop reading (`kiln history ls | head`): that is no error of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
}

process.exitCode = await main(process.argv);

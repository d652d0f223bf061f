import { mkdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { KilnError } from "../errors.js";
import { sweepUnfinished } from "../internal/unfinished-file.js";
import type { Output } from "./outputs.js";

/**
 * Makes sure that outputs on this machine can be written, before a daemon works for them.
 *
 * Creates missing directories, and removes what processes that were killed left of the same outputs. Rejects with `ERR_KILN_OUTPUT_EXISTS` when a file stands where a directory
 * should, or the other way round, and with `ERR_KILN_FILE_UNREADABLE` when one cannot be made.
 */
export async function prepareOutputs(outputs: readonly Output[]): Promise<void> {
  for (const output of outputs) {
    switch (output.type) {
      case "registry":
      case "docker-image":
        break;
      case "oci-layout":
        await makeDirectory(output.dir);
        for (const dir of [output.dir, join(output.dir, "blobs", "sha256")]) await sweepUnfinished(dir);
        break;
      case "local":
        await makeDirectory(output.dir);
        break;
      case "oci-tar":
      case "docker-tar":
      case "tar":
        if (typeof output.target !== "string") break;
        await makeDirectory(dirname(output.target));
        await sweepUnfinished(dirname(output.target), basename(output.target));
        await sweepUnfinished(dirname(output.target), `.${basename(output.target)}`);
        if ((await kindOf(output.target)) === "directory") {
          throw new KilnError(
            "ERR_KILN_OUTPUT_EXISTS",
            `cannot write the file ${output.target}: it is a directory`,
            {
              hint: "Name a file in it.",
            },
          );
        }
        break;
      default:
        output satisfies never;
    }
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    if ((await kindOf(path)) === "file") {
      throw new KilnError(
        "ERR_KILN_OUTPUT_EXISTS",
        `cannot make the directory ${path}: a file has that name`,
        {
          cause: error,
          hint: "Choose another directory, or move the file.",
        },
      );
    }
    throw new KilnError("ERR_KILN_FILE_UNREADABLE", `cannot make the directory ${path}`, {
      cause: error,
      hint: "Check the permissions of its parent.",
    });
  }
}

async function kindOf(path: string): Promise<"file" | "directory" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "directory" : "file";
  } catch {
    return undefined;
  }
}

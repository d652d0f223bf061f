import type { Command } from "commander";
import { ImageStore, type RemovedImages, type StoredImage } from "../../engine/image-store.js";
import { KilnError } from "../../errors.js";
import { cleanText } from "../clean-text.js";
import { withInterrupt } from "../interrupt.js";
import { formatBytes } from "../progress/frame.js";
import { table } from "../table.js";

interface RemoveFlags {
  readonly force?: boolean;
  readonly unnamed?: boolean;
  readonly json?: boolean;
}

/** Adds `kiln images ls|rm`. */
export function addImagesCommand(program: Command): void {
  const images = program
    .command("images")
    .description("images that were published under names on this machine");
  images
    .command("ls")
    .description("list them by name, then those whose name moved on")
    .option("--json", "as JSON")
    .action(async (flags: { readonly json?: boolean }) => {
      const found = await (await ImageStore.open()).list();
      process.stdout.write(flags.json === true ? `${JSON.stringify(found)}\n` : imageTable(found));
      for (const { name, digest, problem } of found) {
        if (problem !== undefined) process.stderr.write(cleanText(`${name ?? digest}: ${problem}\n`));
      }
    });
  images
    .command("rm")
    .argument("[image...]", "names, or digests of images without a name")
    .description("remove names; an image goes with its last one")
    .option("-f, --force", "remove an image by its digest with all its names")
    .option("--unnamed", "remove all images without a name")
    .option("--json", "as JSON")
    .action((wanted: readonly string[], flags: RemoveFlags) =>
      withInterrupt(async (signal) => {
        if (wanted.length === 0 && flags.unnamed !== true) {
          throw new KilnError("ERR_KILN_INVALID_ARGUMENT", "kiln images rm: no image is named", {
            hint: "Name one that kiln images ls lists, or use --unnamed.",
          });
        }
        const store = await ImageStore.open();
        const removed: RemovedImages[] = [];
        const note = (one: RemovedImages): void => {
          removed.push(one);
          if (flags.json === true) return;
          for (const line of [...one.names, ...one.digests]) process.stdout.write(`${line}\n`);
        };
        for (const image of wanted) note(await store.remove(image, { force: flags.force, signal }));
        if (flags.unnamed === true) note(await store.gc({ signal }));
        const freed = removed.reduce((sum, one) => sum + one.freed, 0);
        if (flags.json === true) {
          const names = removed.flatMap((one) => one.names);
          const digests = removed.flatMap((one) => one.digests);
          process.stdout.write(`${JSON.stringify({ names, digests, freed })}\n`);
        } else process.stderr.write(`${formatBytes(freed)} freed\n`);
      }),
    );
}

/** Published images as a table. */
export function imageTable(images: readonly StoredImage[]): string {
  return table(
    ["NAME", "DIGEST", "PLATFORMS", "SIZE", "PUBLISHED"],
    images.map(({ name, digest, platforms, size, publishedAt, problem }) => [
      name ?? "-",
      digest,
      problem === undefined ? platforms.join(",") || "-" : "damaged",
      problem === undefined ? formatBytes(size) : "-",
      publishedAt?.toISOString().slice(0, 19) ?? "-",
    ]),
  );
}

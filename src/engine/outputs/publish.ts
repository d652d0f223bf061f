import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeScratchDirectory } from "../../internal/scratch-directory.js";
import type { OutputRecord } from "../../model/build-record.js";
import { parseImageName } from "../../oci/image-name.js";
import { ImageStore } from "../../oci/image-store.js";
import { type Output, ociLayout, registry } from "../../solver/outputs.js";
import { type ImagePlace, publishedReference } from "./image-place.js";

/** A build's result on its way to a name. */
export interface Publication {
  /** The build's outputs, with what the publication needs. */
  readonly outputs: readonly Output[];
  /** Points the name at what was built; the records are those of the user's own outputs and the name's. */
  finish(records: readonly OutputRecord[]): Promise<readonly OutputRecord[]>;
  /** Removes what was written for the publication alone. */
  close(): Promise<void>;
}

/**
 * Prepares the publication of a build under a name.
 *
 * In a store on this machine the build's own OCI layout is what is taken in, or one beside it that is removed again. The
 * name moves once all is there. Rejects with `ERR_KILN_INVALID_REFERENCE` and what the store rejects with.
 */
export async function preparePublication(
  text: string,
  outputs: readonly Output[],
  options: { readonly place: ImagePlace; readonly signal: AbortSignal | undefined },
): Promise<Publication> {
  const { place, signal } = options;
  const name = parseImageName(text).text;
  if (place.kind === "registry") {
    const ref = publishedReference(place.repository, name);
    return {
      outputs: [...outputs, registry(ref)],
      finish: async (records) => [
        ...records.slice(0, -1),
        { type: "published", target: name, digest: records.at(-1)?.digest },
      ],
      close: async () => {},
    };
  }
  const store = await ImageStore.open(place.dir);
  const own = outputs.find((output) => output.type === "oci-layout");
  // On the store's own file system, so that its blobs are linked, not copied.
  const scratch = own === undefined ? await makeScratchDirectory(join(store.dir, "ingest")) : undefined;
  const layout = scratch === undefined ? own : ociLayout(join(scratch, "image"));
  return {
    outputs: scratch === undefined || layout === undefined ? outputs : [...outputs, layout],
    async finish(records) {
      const index = own === undefined ? records.length - 1 : outputs.indexOf(own);
      const digest = records[index]?.digest;
      if (layout?.type !== "oci-layout" || digest === undefined) {
        throw new TypeError("a build to an OCI layout told no digest");
      }
      const published = await store.publishFrom(layout.dir, digest, name, { signal });
      const others = scratch === undefined ? records : records.slice(0, -1);
      return [...others, { type: "published", target: published.name, digest: published.digest }];
    },
    async close() {
      if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
    },
  };
}

import { status } from "@grpc/grpc-js";
import { Exporter } from "../gen/moby/exporter/v1/exporter_pb.js";
import type { Attachable } from "./grpc/service.js";
import { ServiceRefusal } from "./grpc/status.js";
import { unaryService } from "./grpc/unary-service.js";

/** A result that is about to be exported. */
export interface FinishedResult {
  /** Keys such as `containerimage.config`, JSON as bytes. */
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  /** The daemon's ids of the result's filesystems. */
  readonly refs: readonly string[];
}

/** An exporter as the daemon takes it. */
export interface ExporterChoice {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/**
 * Lets the client choose exporters once the result is known. Since BuildKit 0.21, for solves that ask for it.
 *
 * `finished` is told what all exporters answered, before the solve itself ends.
 */
export function exporterService(
  choose: (result: FinishedResult) => Promise<readonly ExporterChoice[]>,
  options: { readonly onProblem?: ((error: unknown) => void) | undefined } = {},
): Attachable {
  return unaryService(Exporter, {
    async findExporters({ metadata, refs }) {
      try {
        const chosen = await choose({ metadata: new Map(Object.entries(metadata)), refs });
        return { exporters: chosen.map(({ type, attrs }) => ({ Type: type, Attrs: { ...attrs } })) };
      } catch (error) {
        options.onProblem?.(error);
        // The daemon takes UNAVAILABLE and UNIMPLEMENTED for "none"; a choice that failed must not pass for one.
        throw new ServiceRefusal(status.INTERNAL, error instanceof Error ? error.message : String(error));
      }
    },
    finalizeExport: () => ({}),
  });
}

import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Status } from "../gen/google/rpc/status_pb.js";
import type {
  BuildHistoryRecord,
  BuildResultInfo,
  Descriptor as PbDescriptor,
} from "../gen/moby/buildkit/v1/control_pb.js";

type Json = { readonly [key: string]: unknown };

/**
 * A record as Go's encoding/json writes the daemon's message, which is how bundles of builds hold it: fields by their
 * protobuf names in the order of the message, times as seconds and nanoseconds, bytes in base64, empty values left out.
 *
 * Of a build's cache sources only `ref` and `scope` are kept: the rest may hold access keys. `trace` stands for the
 * record's own.
 */
export function historyRecordJson(
  record: BuildHistoryRecord,
  options: { readonly trace: PbDescriptor | undefined; readonly defaultPlatform: string },
): Json {
  return {
    ...filled({
      Ref: record.Ref,
      Frontend: record.Frontend,
      FrontendAttrs: withoutKeys(record.FrontendAttrs),
      Exporters: record.Exporters.map(({ Type, Attrs }) => filled({ Type, Attrs: sorted(Attrs) })),
      error: record.error === undefined ? undefined : statusJson(record.error),
      CreatedAt: timeJson(record.CreatedAt),
      CompletedAt: timeJson(record.CompletedAt),
      logs: blobJson(record.logs),
      ExporterResponse: sorted(record.ExporterResponse),
      Result: record.Result === undefined ? undefined : resultJson(record.Result),
      Results: mapped(record.Results, resultJson),
      Generation: record.Generation,
      trace: blobJson(options.trace),
      pinned: record.pinned,
      numCachedSteps: record.numCachedSteps,
      numTotalSteps: record.numTotalSteps,
      numCompletedSteps: record.numCompletedSteps,
      externalError: blobJson(record.externalError),
      numWarnings: record.numWarnings,
    }),
    // No field of the daemon's: what reads a bundle takes it for the platform where the build names none.
    DefaultPlatform: options.defaultPlatform,
  };
}

function statusJson({ code, message, details }: Status): Json {
  return filled({
    code,
    message,
    details: details.map(({ typeUrl, value }) =>
      filled({ type_url: typeUrl, value: Buffer.from(value).toString("base64") }),
    ),
  });
}

function resultJson(info: BuildResultInfo): Json {
  return filled({
    ResultDeprecated: blobJson(info.ResultDeprecated),
    Attestations: info.Attestations.map(blobJson),
    Results: mapped(info.Results, blobJson),
  });
}

function blobJson(blob: PbDescriptor | undefined): Json | undefined {
  if (blob === undefined) return undefined;
  const { mediaType, digest, size, annotations } = blob;
  return filled({ media_type: mediaType, digest, size: Number(size), annotations: sorted(annotations) });
}

function timeJson(time: Timestamp | undefined): Json | undefined {
  return time === undefined ? undefined : filled({ seconds: Number(time.seconds), nanos: time.nanos });
}

function withoutKeys(attrs: Readonly<Record<string, string>>): Json {
  const key = "cache-imports";
  const imports = attrs[key];
  return sorted(imports === undefined ? attrs : { ...attrs, [key]: importsWithoutKeys(imports) });
}

function importsWithoutKeys(text: string): string {
  try {
    const imports = JSON.parse(text) as readonly {
      readonly Type?: unknown;
      readonly Attrs?: Readonly<Record<string, unknown>> | null;
    }[];
    return JSON.stringify(
      imports.map(({ Type, Attrs }) => ({
        Type,
        Attrs: Object.fromEntries(
          Object.entries(Attrs ?? {}).filter(([name]) => name === "ref" || name === "scope"),
        ),
      })),
    );
  } catch {
    // What cannot be read may hold anything.
    return "";
  }
}

function mapped<T>(values: Readonly<Record<string, T>>, convert: (value: T) => unknown): Json {
  return sorted(Object.fromEntries(Object.entries(values).map(([key, value]) => [key, convert(value)])));
}

function sorted(values: Json): Json {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Without what Go's `omitempty` leaves out. */
function filled(values: Json): Json {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => !isEmpty(value)));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === "" || value === 0 || value === false) return true;
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

import type { Any } from "@bufbuild/protobuf/wkt";

/** An error detail as BuildKit sends it: JSON under a name such as `errdefs.Vertex+json`. */
export interface FakeErrorDetail {
  readonly type: string;
  readonly value: unknown;
}

/** An error with which the fake daemon answers a call. */
export class FakeRefusal extends Error {
  /** Number of the gRPC status. */
  readonly status: number;
  readonly details: readonly FakeErrorDetail[];

  /** `status`: number of a gRPC status, e.g. 5 for NOT_FOUND; BuildKit's own for failed builds is mostly 2. */
  constructor(status: number, message: string, details: readonly FakeErrorDetail[] = []) {
    super(message);
    this.name = "FakeRefusal";
    this.status = status;
    this.details = details;
  }

  /** The details as the status message carries them. */
  anys(): readonly Pick<Any, "typeUrl" | "value">[] {
    return this.details.map(({ type, value }) => ({
      typeUrl: `github.com/moby/buildkit/${type}`,
      value: new TextEncoder().encode(JSON.stringify(value)),
    }));
  }
}

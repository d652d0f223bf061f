import { trackSteps } from "../../../../src/engine/step-tracker.js";
import { decodeOp } from "../../../../src/llb/decode-op.js";
import { readFields } from "../../../../src/llb/wire-reader.js";
import type { StepRecord } from "../../../../src/model/build-record.js";
import type { SolveEvent } from "../../../../src/model/events.js";
import { sha256 } from "../../../../src/oci/digest.js";
import type { GatheredScene } from "./scene.js";

/** How a build on a {@link FakeDaemon} should go. */
export interface FakeRun {
  /** The step whose command fails. */
  readonly failsAt?: number;
  /** The step during which it is cancelled. */
  readonly canceledAt?: number;
}

/**
 * Answers builds as a daemon's cache does: an op is known by what it does and what it starts from, a local tree by its
 * contents, an image by its digest. It knows nothing of fingerprints.
 */
export class FakeDaemon {
  readonly #known = new Set<string>();
  readonly #durationMs: number;

  constructor(durationMs = 1000) {
    this.#durationMs = durationMs;
  }

  /** Forgets everything, as after a prune. */
  prune(): void {
    this.#known.clear();
  }

  /** Carries out a plan; each op that runs takes as long as the daemon was made with. */
  build({ plan, trees }: GatheredScene, run: FakeRun = {}): readonly StepRecord[] {
    const tracker = trackSteps();
    tracker.expect(plan.steps);
    const stepOf = new Map(plan.steps.flatMap((step) => step.vertices.map((vertex) => [vertex, step.index])));
    const keys = new Map<string, string>();
    const again = new Set<string>();
    for (const { digest, bytes } of (plan.definition?.ops ?? []).slice(0, -1)) {
      const { op, inputs, platform } = decodeOp(bytes);
      const before = inputs.map((input) => input.digest);
      const source = op.case === "source" ? op.value.identifier : undefined;
      const forced =
        plan.definition?.metadata.get(digest)?.ignoreCache === true ||
        before.some((input) => again.has(input));
      if (forced) again.add(digest);
      const content =
        source === undefined ? withoutInputs(bytes) : contentOf(source, trees, platform?.Architecture);
      const key = sha256(JSON.stringify([content, before.map((input) => keys.get(input))]));
      keys.set(digest, key);
      const event = { vertex: digest, name: "", inputs: before, at: 0 } as const;
      const hear = (told: SolveEvent): void => void tracker.tag(told);
      const step = stepOf.get(digest);
      if (this.#known.has(key) && !forced) {
        hear({ type: "vertex.cached", ...event });
        continue;
      }
      if (source === undefined && step !== undefined && (step === run.failsAt || step === run.canceledAt)) {
        const canceled = step === run.canceledAt;
        hear({ type: "vertex.failed", ...event, durationMs: 1, error: "failed", canceled });
        break;
      }
      if (source?.startsWith("docker-image://") === true) {
        hear({ ...event, type: "progress", id: "layer", current: 1, total: 1, done: true });
      }
      this.#known.add(key);
      hear({ type: "vertex.done", ...event, durationMs: source === undefined ? this.#durationMs : 1 });
    }
    return tracker.records(plan.steps);
  }
}

function contentOf(source: string, trees: ReadonlyMap<string, string>, architecture = ""): string {
  const tree = /^local:\/\/(.*)$/.exec(source)?.[1];
  if (tree !== undefined) return trees.get(tree) ?? tree;
  return `${/@(sha256:[0-9a-f]{64})$/.exec(source)?.[1] ?? source} ${architecture}`;
}

function withoutInputs(bytes: Uint8Array): string {
  const fields = readFields(bytes, "op");
  return fields
    .flatMap(({ number, offset }, index) => {
      const end = fields[index + 1]?.offset ?? bytes.length;
      return number === 1 ? [] : [Buffer.from(bytes.subarray(offset, end)).toString("base64")];
    })
    .join();
}

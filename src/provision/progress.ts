/** One thing that the private engine's set-up reports while it works. */
export interface ProvisionEvent {
  /** What is going on. */
  readonly phase:
    | "wait"
    | "index"
    | "download"
    | "unpack"
    | "configure"
    | "start"
    | "stop"
    | "image"
    | "push";
  /** One line for people, without a trailing full stop. */
  readonly message: string;
  /** How much of `total` is done, in the phase's own unit (packages, steps). */
  readonly done?: number | undefined;
  /** What `done` counts up to. */
  readonly total?: number | undefined;
}

/** Hears of progress. Called synchronously; must not throw. */
export type OnProgress = (event: ProvisionEvent) => void;

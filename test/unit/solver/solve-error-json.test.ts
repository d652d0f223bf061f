import { describe, expect, it } from "vitest";
import { KilnError } from "../../../src/errors.js";
import { RpcError } from "../../../src/rpc/rpc-error.js";
import { SolveError, type SolveErrorOptions } from "../../../src/solver/solve-error.js";
import { decodeError, encodeError } from "../../../src/solver/solve-error-json.js";

function throughText(error: unknown): Error {
  return decodeError(JSON.parse(JSON.stringify(encodeError(error))));
}

const location = { file: "/work/recipe.ts", line: 3, column: 7 };
// Complete by its type: a new field of the class must be added here, and then be told to others.
const everything: Required<SolveErrorOptions> = {
  hint: "Do this.",
  location,
  cause: new KilnError("ERR_KILN_FILE_CHANGED", "underneath", { hint: "Do that." }),
  vertex: "sha256:abc",
  vertexName: "RUN make",
  exitCode: 2,
  logTail: ["one", "two"],
  logClips: [{ stream: "stderr", limit: "size", limitBytes: 2_097_152 }],
  command: "make",
  step: { index: 4, id: "runCommands", title: "runCommands make" },
  failedOp: { inputIds: ["a", ""], mountIds: ["b"], op: { exec: { meta: { args: ["make"] } } } },
  sources: [
    {
      filename: "Dockerfile",
      ranges: [{ startLine: 3, startCharacter: 0, endLine: 3, endCharacter: 9 }],
      excerpt: ">>> 3 | RUN make",
    },
  ],
};

describe("errors told to another process", () => {
  it("keep all fields of a failed solve", () => {
    const error = new SolveError("ERR_KILN_STEP_FAILED", "it failed", everything);
    const told = throughText(error);
    expect(told).toBeInstanceOf(SolveError);
    expect({ ...told }).toStrictEqual({ ...error });
    expect(told).toMatchObject({ name: "SolveError", message: "it failed", stack: error.stack });
    expect(told.cause).toBeInstanceOf(KilnError);
    expect(told.cause).toMatchObject({ code: "ERR_KILN_FILE_CHANGED", hint: "Do that." });
    expect(Object.keys(everything).filter((key) => !(key in told))).toEqual([]);
  });

  it("keep what is not known unknown", () => {
    const error = new SolveError("ERR_KILN_SOLVE_FAILED", "it failed");
    expect({ ...throughText(error) }).toStrictEqual({ ...error });
    expect(throughText(error).cause).toBeUndefined();
  });

  it("keep a call's status and details, with bytes", () => {
    const error = new RpcError("ERR_KILN_RPC", "no such ref", {
      status: 5,
      details: [
        { kind: "exitMessage", exitCode: 3 },
        { kind: "other", typeUrl: "type/x", value: new Uint8Array([1, 255]) },
      ],
    });
    const told = throughText(error);
    expect(told).toBeInstanceOf(RpcError);
    expect({ ...told }).toStrictEqual({ ...error });
    expect(told).toMatchObject({ statusName: "NOT_FOUND" });
  });

  it("become what all have in common where their class is another room's", () => {
    class Special extends KilnError {
      readonly candidates = ["elsewhere"];
      constructor() {
        super("ERR_KILN_NO_DAEMON", "none", { hint: "Start one.", location });
        this.name = "Special";
      }
    }
    const told = throughText(new Special());
    expect(told).toBeInstanceOf(KilnError);
    expect(told).toMatchObject({ name: "Special", code: "ERR_KILN_NO_DAEMON", hint: "Start one.", location });
  });

  it("carry nothing of other errors but name, message, stack and code", () => {
    const secret = "hush-do-not-tell";
    const foreign = Object.assign(new TypeError("broken"), {
      code: 14,
      metadata: { authorization: secret },
      request: { headers: [secret] },
    });
    const error = new SolveError("ERR_KILN_SOLVE_FAILED", "it failed", { cause: foreign });
    Object.assign(error, { password: secret });
    expect(JSON.stringify(encodeError(error))).not.toContain(secret);
    const told = throughText(error).cause;
    expect(told).toBeInstanceOf(Error);
    expect(told).toMatchObject({ name: "TypeError", message: "broken", code: 14, stack: foreign.stack });
    expect(throughText("a text")).toMatchObject({ name: "Error", message: "a text" });
  });

  it("end with causes that cause themselves", () => {
    const error = new Error("round");
    error.cause = error;
    let depth = 0;
    for (let told: unknown = throughText(error); told instanceof Error; told = told.cause) depth += 1;
    expect(depth).toBe(9);
  });

  it.each([
    ["nothing", null],
    ["a list", []],
    ["no kind", { name: "Error", message: "x" }],
    ["a code that is none", { kind: "kiln", name: "KilnError", message: "x", code: "EVIL" }],
    ["a code that calls have not", { kind: "rpc", name: "x", message: "x", code: "ERR_KILN_CLOSED" }],
    ["a message that is no text", { kind: "error", name: "Error", message: 1 }],
    [
      "a log that is no list",
      { kind: "solve", name: "x", message: "x", code: "ERR_KILN_CLOSED", logTail: "x" },
    ],
    [
      "a place that is none",
      { kind: "kiln", name: "x", message: "x", code: "ERR_KILN_CLOSED", location: { file: 1 } },
    ],
  ])("are not made of %s", (_title, data) => {
    expect(() => decodeError(data)).toThrow(TypeError);
  });
});

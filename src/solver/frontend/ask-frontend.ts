import { KilnError } from "../../errors.js";
import { SolveError } from "../solve-error.js";
import type { BuildFunction } from "../solve-request.js";
import type { FrontendRequest } from "./frontend-solve.js";

/** What a build can be told, as far as its frontend knows. */
export interface BuildOutline {
  /** The target; empty for one without a name. */
  readonly name: string;
  readonly description: string;
  readonly args: readonly {
    readonly name: string;
    readonly description: string;
    /** The value that it has without being told one. */
    readonly value: string;
    /** 1-based line of the file; `undefined` where it is not said. */
    readonly line: number | undefined;
  }[];
  readonly secrets: readonly NeededThing[];
  readonly ssh: readonly NeededThing[];
  readonly cacheMounts: readonly { readonly id: string; readonly line: number | undefined }[];
}

/** A secret or an ssh agent that a build uses, by its id. */
export interface NeededThing {
  readonly id: string;
  readonly required: boolean;
  readonly line: number | undefined;
}

/** A target that can be built. */
export interface BuildTarget {
  /** Empty for one without a name. */
  readonly name: string;
  /** Whether it is built when none is named. */
  readonly isDefault: boolean;
  readonly description: string;
  /** What it is built from. */
  readonly base: string;
  readonly platform: string;
  readonly line: number | undefined;
}

/** What is doubtful in a build's file. */
export interface LintReport {
  readonly warnings: readonly {
    /** E.g. `StageNameCasing`. */
    readonly rule: string;
    readonly description: string;
    readonly detail: string;
    readonly url: string;
    readonly line: number | undefined;
  }[];
  /** Why the file cannot be built at all. */
  readonly error: { readonly message: string; readonly line: number | undefined } | undefined;
}

/** A question that a frontend can be asked. */
export interface FrontendQuestion {
  /** BuildKit's name, e.g. `frontend.outline`. */
  readonly name: string;
  readonly version: string;
  readonly description: string;
}

/** The answers of a frontend, by what it is asked. */
export interface FrontendAnswers {
  readonly outline: BuildOutline;
  readonly targets: readonly BuildTarget[];
  readonly lint: LintReport;
  readonly describe: readonly FrontendQuestion[];
}

/** BuildKit's names of the questions, and how an answer's JSON is read. */
const questions: {
  readonly [Q in keyof FrontendAnswers]: readonly [
    requestId: string,
    read: (json: Json) => FrontendAnswers[Q],
  ];
} = {
  outline: ["frontend.outline", outlineOf],
  targets: ["frontend.targets", (json) => listOf(json.get("targets")).map(targetOf)],
  lint: ["frontend.lint", lintOf],
  describe: ["frontend.subrequests.describe", (json) => listOf(json.self).map(questionOf)],
};

/** All that a frontend can be asked. */
export const frontendQuestions: readonly (keyof FrontendAnswers)[] = Object.keys(
  questions,
) as (keyof FrontendAnswers)[];

/**
 * Asks a frontend in a build that `run` opens, and reads its answer.
 *
 * Rejects with `ERR_KILN_UNSUPPORTED` for a question that the frontend does not know, with `ERR_KILN_PROTOCOL` for an
 * answer that is none, and with what `run` rejects with.
 */
export async function askFrontend<Q extends keyof FrontendAnswers>(
  question: Q,
  request: FrontendRequest,
  run: (asked: FrontendRequest, use: BuildFunction) => Promise<void>,
): Promise<FrontendAnswers[Q]> {
  const [requestId, read] = questions[question];
  const asked: FrontendRequest = {
    ...request,
    attrs: {
      ...request.attrs,
      requestid: requestId,
      // Without it a frontend too old to know of questions would build.
      "frontend.caps": "moby.buildkit.frontend.subrequests",
    },
  };
  const answer: { bytes?: Uint8Array | undefined } = {};
  try {
    await run(asked, async (gateway) => {
      const { metadata } = await gateway.solve({
        frontend: asked.frontend,
        frontendOptions: asked.attrs,
        frontendInputs: asked.inputs,
      });
      answer.bytes = metadata.get("result.json");
      return undefined;
    });
  } catch (error) {
    if (
      !(error instanceof SolveError) ||
      !/unsupported (?:sub)?request|unsupported frontend cap/i.test(error.message)
    ) {
      throw error;
    }
    throw new KilnError(
      "ERR_KILN_UNSUPPORTED",
      `the frontend ${request.frontend} does not know ${requestId}`,
      {
        cause: error,
        hint: "Ask it for `describe` to learn what it knows, or use a newer one.",
      },
    );
  }
  try {
    return read(jsonOf(JSON.parse(new TextDecoder().decode(answer.bytes))));
  } catch (error) {
    throw new KilnError(
      "ERR_KILN_PROTOCOL",
      `the frontend ${request.frontend} gave no answer to ${requestId}`,
      { cause: error, hint: "Check that it is a frontend that can be asked: ask it for `describe`." },
    );
  }
}

/** A value of a frontend's answer, which may be anything. */
interface Json {
  readonly self: unknown;
  readonly get: (key: string) => unknown;
  /** The empty text for what is no text. */
  readonly text: (key: string) => string;
  readonly flag: (key: string) => boolean;
  /** First line of the value's `location`. */
  readonly line: number | undefined;
}

function jsonOf(self: unknown): Json {
  const fields = typeof self === "object" && self !== null ? (self as Readonly<Record<string, unknown>>) : {};
  const get = (key: string): unknown => (Object.hasOwn(fields, key) ? fields[key] : undefined);
  return {
    self,
    get,
    text(key) {
      const value = get(key);
      return typeof value === "string" ? value : "";
    },
    flag: (key) => get(key) === true,
    get line() {
      const [range] = listOf(jsonOf(get("location")).get("ranges"));
      const line = range === undefined ? undefined : jsonOf(range.get("start")).get("line");
      return typeof line === "number" && line > 0 ? line : undefined;
    },
  };
}

function listOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(jsonOf) : [];
}

function outlineOf(json: Json): BuildOutline {
  const needed = (one: Json): NeededThing => ({
    id: one.text("name"),
    required: one.flag("required"),
    line: one.line,
  });
  return {
    name: json.text("name"),
    description: json.text("description"),
    args: listOf(json.get("args")).map((arg) => ({
      name: arg.text("name"),
      description: arg.text("description"),
      value: arg.text("value"),
      line: arg.line,
    })),
    secrets: listOf(json.get("secrets")).map(needed),
    ssh: listOf(json.get("ssh")).map(needed),
    cacheMounts: listOf(json.get("cache")).map((mount) => ({ id: mount.text("ID"), line: mount.line })),
  };
}

function targetOf(json: Json): BuildTarget {
  return {
    name: json.text("name"),
    isDefault: json.flag("default"),
    description: json.text("description"),
    base: json.text("base"),
    platform: json.text("platform"),
    line: json.line,
  };
}

function lintOf(json: Json): LintReport {
  const error = json.get("buildError");
  return {
    warnings: listOf(json.get("warnings")).map((warning) => ({
      rule: warning.text("ruleName"),
      description: warning.text("description"),
      detail: warning.text("detail"),
      url: warning.text("url"),
      line: warning.line,
    })),
    error:
      error === undefined || error === null
        ? undefined
        : { message: jsonOf(error).text("message"), line: jsonOf(error).line },
  };
}

function questionOf(json: Json): FrontendQuestion {
  return { name: json.text("name"), version: json.text("version"), description: json.text("description") };
}

import { argumentError, describe } from "../check-args.js";
import { shellQuote } from "../shell-quote.js";
import { checkFlag, type StepOptions } from "../step-options.js";

/** Options of every step that installs with pip or with uv's pip. */
export interface PipOptions extends StepOptions {
  /** A page or directory of archives to look in as well: `--find-links`. A directory is one in the image. */
  readonly findLinks?: string | undefined;
  /** The package index, in place of PyPI: `--index-url`. A password belongs into a secret: see `extraOptions`. */
  readonly indexUrl?: string | undefined;
  /** More package indexes: `--extra-index-url`. */
  readonly extraIndexUrl?: string | readonly string[] | undefined;
  /** Take pre-releases too. Default false. */
  readonly pre?: boolean | undefined;
  /**
   * More options, as a shell reads them: `--no-deps --no-build-isolation`. Variables of the step's secrets expand:
   * `--index-url https://user:$TOKEN@example.com/simple`.
   */
  readonly extraOptions?: string | undefined;
}

/** Keys of {@link PipOptions} beside the common ones. */
export const pipOptionKeys: readonly string[] = [
  ...["findLinks", "indexUrl", "extraIndexUrl", "pre", "extraOptions"],
];

/** {@link PipOptions} checked. */
export interface CheckedPipOptions {
  readonly findLinks: string | undefined;
  readonly indexUrl: string | undefined;
  readonly extraIndexUrls: readonly string[];
  readonly pre: boolean;
  readonly extraOptions: string | undefined;
}

/** Checks the options of pip itself; throws `ERR_KILN_INVALID_ARGUMENT` with the user's call site. */
export function checkPipOptions(call: string, options: PipOptions | undefined): CheckedPipOptions {
  const { extraIndexUrl } = options ?? {};
  const extra = Array.isArray(extraIndexUrl) ? extraIndexUrl : [extraIndexUrl];
  return {
    findLinks: checkPlace(call, "findLinks", options?.findLinks),
    indexUrl: checkPlace(call, "indexUrl", options?.indexUrl),
    extraIndexUrls: extra.flatMap((url: unknown) => checkPlace(call, "extraIndexUrl", url) ?? []),
    pre: checkFlag(call, "pre", options?.pre, false),
    extraOptions: checkExtraOptions(call, options?.extraOptions),
  };
}

/** Checks options that go to a tool as they were written; `undefined` for none. */
export function checkExtraOptions(call: string, text: unknown): string | undefined {
  if (text === undefined) return undefined;
  if (typeof text !== "string" || /[\0\n]/.test(text)) {
    throw argumentError(call, `extraOptions must be one line of text, got ${describe(text)}`, {
      hint: 'Write them as in a shell: extraOptions: "--no-deps --no-build-isolation".',
    });
  }
  return text.trim() === "" ? undefined : text;
}

function checkPlace(call: string, key: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" && /^[^-\s]/.test(value) && !/[\0\n]/.test(value)) return value;
  throw argumentError(call, `${key} must be an address, got ${describe(value)}`, {
    hint: `Write ${key}: "https://example.com/simple".`,
  });
}

/** The options as pip takes them. */
export function pipFlags(options: CheckedPipOptions): readonly string[] {
  return [...indexFlags(options), ...(options.pre ? ["--pre"] : []), ...verbatim(options)];
}

/** The options as `uv pip` takes them. */
export function uvFlags(options: CheckedPipOptions): readonly string[] {
  return [...indexFlags(options), ...(options.pre ? ["--prerelease allow"] : []), ...verbatim(options)];
}

/** Addresses among the options, for lint. */
export function pipUrls({ findLinks, indexUrl, extraIndexUrls }: CheckedPipOptions): readonly string[] {
  return [findLinks, indexUrl, ...extraIndexUrls].filter((url) => url?.includes("://") === true) as string[];
}

function indexFlags({ findLinks, indexUrl, extraIndexUrls }: CheckedPipOptions): readonly string[] {
  const flags: readonly (readonly [string, string | undefined])[] = [
    ["--find-links", findLinks],
    ["--index-url", indexUrl],
    ...extraIndexUrls.map((url) => ["--extra-index-url", url] as const),
  ];
  return flags.flatMap(([flag, value]) => (value === undefined ? [] : [`${flag} ${shellQuote(value)}`]));
}

function verbatim({ extraOptions }: CheckedPipOptions): readonly string[] {
  return extraOptions === undefined ? [] : [extraOptions];
}

/** The options as Modal's builder puts them behind `pip install`: with a blank more before a lone `--pre`. */
export function modalPipFlags(options: CheckedPipOptions): string {
  const flags = `${indexFlags(options).join(" ")}${options.pre ? " --pre" : ""}`;
  return [flags, ...verbatim(options)].filter((part) => part !== "").join(" ");
}

import { expect } from "vitest";
import { type Edit, edits, plain } from "../../unit/cache/explain/edits.js";
import { causesOf, Stage, type StageOptions } from "./stage.js";

/** Edits that are much like others: `npm run soak` carries them out. */
const likeOthers: ReadonlySet<string> = new Set([
  "a long command",
  "a variable more",
  "several things",
  "an index",
  "a package of apt",
  "a secret more",
  "a tag that a Dockerfile names",
  "lines of a Dockerfile",
  "a command less",
  "the order of variables",
  "a variable less",
  "a new variable of a step",
  "a variable that a step no longer has",
  "a command that holds a token",
  "a forced step that changed",
  "modes that are normal already",
  "an ignore rule that is gone",
  "an ignore rule that matches nothing",
  "another name of the same base",
  "certificates of the build",
  "a new version of the package",
  "a file that is not copied",
  "a directory of another name with the same files",
  "a new step at the end",
  "a step twice",
  "a label",
  "the user",
  "a variable after",
  "a package less",
  "many packages",
  "a flag of pip",
  "requirements that others include",
  "another secret",
  "a secret less",
  "what is copied from an image",
  "the context of a Dockerfile that copies nothing",
  "the user of Dockerfile lines",
  "an argument of a step of one's own",
]);

/** The edits that a daemon without devices can carry out, with names of their own. */
export const possibleEdits = edits
  .filter(({ needs }) => needs !== "device")
  .map((edit, index) => [edit.name, edit, `edit-${index}`] as const);

/** One of each kind. */
export const tellingEdits = possibleEdits.filter(([name]) => !likeOthers.has(name));

/** Checks that a real daemon runs the steps that an edit is said to make run, that it was foreseen, and is said later. */
export async function carryOutEdit(edit: Edit, options: StageOptions): Promise<void> {
  const { before, after, runs, needs } = edit;
  const alone = needs !== undefined || Object.values(runs).some(([kind]) => kind === "forced");
  await using stage = await Stage.open({
    ...options,
    // Most edits start from one chain, which need not be built for each.
    at: before === plain && !alone ? "plain" : options.at,
    platforms: needs === "platform" ? ["linux/amd64", "linux/arm64"] : undefined,
  });
  await stage.build(before);
  const carriedOut = await stage.carryOut(after);
  expect(causesOf(carriedOut)).toEqual(
    Object.fromEntries(
      Object.entries(runs).map(([at, [kind, text]]) => [
        at,
        [kind, typeof text === "string" ? text : expect.stringMatching(text)],
      ]),
    ),
  );
  expect(carriedOut.foreseen).toEqual(carriedOut.happened);
  expect(carriedOut.explained).toEqual(carriedOut.happened);
}

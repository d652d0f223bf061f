import type { Chain } from "../image/define-step.js";
import { stepOfNeed } from "../image/need-id.js";
import type { RunBuildContext } from "./build-job.js";
import type { Gathered } from "./inputs/gather.js";

/**
 * Told that a local tree has changed, while the rest of it is still looked through: loads what the build will need, and
 * learns the daemon if it is certain to be asked, as commands run after the tree. Goes on by itself; what goes wrong here
 * goes wrong again, and is told, where it is needed.
 */
export function getReady(
  image: Chain,
  { needs }: Gathered,
  { connect }: Pick<RunBuildContext, "connect">,
): void {
  const lastTree = Math.max(...needs.trees.map(({ id }) => stepOfNeed(id)));
  const lastCommand = image.steps.findLastIndex(({ options }) => options !== undefined);
  const loaded: Promise<unknown>[] = [import("./carry-out.js")];
  if (lastCommand > lastTree) {
    loaded.push(
      import("./solved-build.js"),
      connect().then((client) => client.facts()),
    );
  }
  for (const each of loaded) each.catch(() => {});
}

import { defineStep, type Step } from "../define-step.js";
import {
  checkJavaScriptInstall,
  installTitle,
  type JavaScriptInstallOptions,
} from "../javascript/install-options.js";
import { commandLine, npmCacheMount, npmEnvironment, projectDirectory } from "../javascript/npm-command.js";
import {
  npmrcMounts,
  type ProjectLayout,
  projectMounts,
  projectNeeds,
  workspacesOf,
} from "../javascript/project-files.js";

/** Options of `npmInstall`. */
export type NpmInstallOptions = JavaScriptInstallOptions;

const layout: ProjectLayout = {
  locks: ["npm-shrinkwrap.json", "package-lock.json"],
  others: [],
  members: (read) => workspacesOf(read("package.json") ?? "{}"),
};

/** Installs packages for the whole image, or the dependencies of a project, by the image's own npm. */
export const npmInstall: Step<readonly unknown[]> = defineStep({
  id: "npmInstall",
  version: 1,
  validate: (input: readonly unknown[]) => checkJavaScriptInstall("npmInstall", input),
  title: (args) => installTitle("npmInstall", args),
  options: ({ options }) => options,
  needs: (args, context) => projectNeeds(args, layout, context),
  lower(chain, args, context) {
    const { project } = args;
    const dir = projectDirectory(chain, args);
    const { file, listing } = context;
    const { files, lock } = projectMounts(args, layout, { dir, file, listing });
    const omit = project?.omitDev === true ? ["--omit=dev"] : [];
    const anew = ["npm", "install", "--no-save", "--no-package-lock", ...omit];
    const words = lock === undefined ? anew : ["npm", "ci", ...omit];
    const command = commandLine(project === undefined ? ["npm", "install", "--global"] : words, args);
    return context.run(chain, {
      ...{ argv: ["/bin/sh", "-c", command], command },
      ...(project === undefined ? {} : { dir }),
      env: npmEnvironment(args),
      caches: [npmCacheMount(context.platform)],
      files: [...files, ...npmrcMounts(args, file)],
    });
  },
  traits: ({ packages, registry }) => ({
    packages: packages.map((spec) => ({ manager: "npm", spec })),
    ...(registry === undefined ? {} : { urls: [registry] }),
  }),
});

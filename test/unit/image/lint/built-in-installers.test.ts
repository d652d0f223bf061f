import { expect, it } from "vitest";
import { base, found } from "./chains.js";

const copied = base.addLocalDir("./app", "/app", { copy: true });

it("moves local files behind installs of Python packages, by name or from local lists", () => {
  const image = copied
    .pipInstall("six==1.16.0")
    .uvPipInstall("torch<3", { requirements: ["requirements.txt"] })
    .uvSync("./project")
    .pipInstallFromRequirements("requirements.txt")
    .pipInstallFromPyproject("pyproject.toml")
    .poetryInstallFromFile("pyproject.toml")
    .runCommands("python -m compileall /app");
  const [finding] = found(image, "volatile-before-stable");
  expect(finding?.message).toContain("7 later steps again, of which 6 steps do not use them");
  expect(
    finding
      ?.fix?.()
      .steps.map(({ id }) => id)
      .slice(-2),
  ).toEqual(["addLocalDir", "runCommands"]);
});

it("names Python packages without a version, not those of local lists", () => {
  const image = base.uvPipInstall("torch<3", "numpy", "six==1.16.0").pipInstallFromRequirements("a.txt");
  expect(
    found(image, "unpinned-package").map(({ severity, message }) => [severity, message.split(":")[0]]),
  ).toEqual([
    ["warning", "numpy"],
    ["info", "torch<3"],
  ]);
});

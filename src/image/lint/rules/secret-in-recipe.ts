import { findSecrets } from "../find-secrets.js";
import { eachStep, type Rule } from "../rule.js";

/**
 * Values that look like secrets: literal values of variables whose names say so, tokens of known shapes, private keys,
 * passwords in URLs, credentials in commands. Everyone who has the image, its cache or the recipe can read them.
 */
export const secretInRecipe: Rule = {
  id: "secret-in-recipe",
  severity: "error",
  check: eachStep((step) =>
    findSecrets(step).map(({ what, where, stays, variable, severity }) => ({
      severity,
      message: `${where} holds ${what}, which ${
        stays === "image"
          ? "stays in the image's config"
          : "is part of the build's definition, its cache and history"
      }`,
      hint:
        stays === "image"
          ? `Give it to containers when they start; steps get it by secrets: [Secret.fromEnv("${variable}")].`
          : `Pass secrets: [Secret.fromEnv("${variable}")] to the step and read $${variable} in its commands.`,
    })),
  ),
};

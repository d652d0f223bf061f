export { packageVersion } from "../internal/package-version.js";

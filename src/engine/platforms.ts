export { formatPlatform, type Platform } from "../oci/platform.js";

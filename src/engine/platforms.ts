export { formatPlatform, parsePlatform } from "../oci/platform.js";

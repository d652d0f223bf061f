export { formatPlatform } from "../oci/platform.js";

export { parseCount, parseDuration, parseSize } from "../internal/quantities.js";

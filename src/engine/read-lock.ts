export { readSourceLock } from "../solver/source-lock/lock-file.js";

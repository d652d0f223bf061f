// A reporter of Vitest's, for `npm test`: keeps the failures that its report in JSON has no place for.
import { writeFileSync } from "node:fs";

/** Files that cannot be loaded, what is to be done before or after tests, and errors that nobody handles. */
export default class OtherErrors {
  onTestRunEnd(modules, unhandled) {
    const found = unhandled.map((error) => ({ where: "outside of a test", message: text(error) }));
    for (const module of modules) {
      for (const suite of [module, ...module.children.allSuites()]) {
        const where = suite === module ? module.moduleId : `${module.moduleId} > ${suite.fullName}`;
        for (const error of suite.errors()) found.push({ where, message: text(error) });
      }
    }
    writeFileSync(process.env.KILN_TEST_OTHER_ERRORS, JSON.stringify(found));
  }
}

function text({ name, stack, message }) {
  return stack?.includes(message) ? stack : `${name}: ${message}\n${stack ?? ""}`;
}

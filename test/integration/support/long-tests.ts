import { it } from "vitest";

const long = process.env["KILN_TEST_LONG"] === "1";

/** Tests of `npm run soak`, which sets `KILN_TEST_LONG`: their seconds are more than `npm test` has to spare. */
export const itLong = it.skipIf(!long);

/** Marks the titles of {@link itLong}, so that a skip says why. */
export const inSoak = "(in `npm run soak`)";

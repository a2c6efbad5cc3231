import fc from "fast-check";

// The runner gives all tests of a run one seed.
const seed = process.env["HOLDFAST_SEED"];
if (seed !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(seed) });

export { fc };

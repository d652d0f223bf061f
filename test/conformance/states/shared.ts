import { image, type MarshalOptions, type State } from "../../../src/llb/index.js";

/** A state, alone or with what it is marshalled with beside `linux/amd64` and the unique id `unique`. */
export type Case = () => State | readonly [State, MarshalOptions];

/** The base of most cases. */
export const alpine: State = image("alpine:3.20");

/** A command that does nothing. */
export const yes: readonly string[] = ["true"];

/** Digest of nothing. */
export const emptySha256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

export { type ImageOptions, image } from "./image.js";
export { type MarshalOptions, marshal } from "./marshal.js";
export { State, scratch, type StateOption } from "./state.js";
export { ExecState } from "./exec-state.js";
export { Definition } from "./definition.js";

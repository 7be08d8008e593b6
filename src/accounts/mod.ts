/** The door of the accounts slice. */
export type { Principal } from "./principal.ts";

/** What the devices of a run do, and how often. */

/** What a device may do. */
export type Deed =
  | "send"
  | "send_http"
  | "send_again"
  | "send_other_body"
  | "page"
  | "snapshot"
  | "typing"
  | "read"
  | "membership"
  | "block"
  | "edit"
  | "delete"
  | "react"
  | "privacy"
  | "presence"
  | "hop"
  | "sign_out";

/** How often each deed is done, against the others. */
export const DEEDS: Readonly<Record<Deed, number>> = {
  send: 68,
  send_http: 4,
  send_again: 3,
  send_other_body: 0.7,
  page: 7,
  snapshot: 2,
  typing: 5,
  read: 4,
  membership: 2.5,
  block: 1.5,
  edit: 3,
  delete: 0.8,
  react: 4,
  privacy: 0.8,
  presence: 1,
  hop: 2,
  sign_out: 0.4,
};

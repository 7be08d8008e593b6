/**
 * The limits of the protocol. Each has a named outcome, given beside it:
 * an error code (the frame or request is refused, the connection lives) or a
 * close code (the connection ends).
 */
export const LIMITS = {
  /** Bytes in one frame from a client. Beyond: the socket closes with 1009. */
  frameBytes: 128 * 1024,
  /** Nesting in a JSON text. Beyond: `bad_json`. */
  jsonDepth: 32,
  /** Characters in `content` or `encrypted_content`: 64 KiB once base64 is decoded. Beyond: `payload_too_large`. */
  contentChars: 87_384,
  /** Milliseconds until a socket must have authenticated. Beyond: close `authentication_timeout`. */
  authenticationMs: 5_000,
  /** Milliseconds a socket ticket lives; it works once. Beyond: `unauthorized`. */
  ticketMs: 30_000,
  /** Sockets of one session at one node. Beyond: close `too_many_sockets`. */
  socketsPerSession: 5,
  /** Sockets of one address that have not authenticated. Beyond: HTTP 429 in place of the upgrade. */
  unauthenticatedPerAddress: 100,
  /** Frames a second from one socket, on average. Beyond: `rate_limited`. */
  framesPerSecond: 100,
  /** Frames at once from one socket. Beyond: `rate_limited`. */
  frameBurst: 400,
  /** Refusals by rate in a row before the socket closes with `flooding`. */
  floodRefusals: 400,
  /** Members whom an account's typing and read marks reach a second, on average. Beyond: typing is lost, a mark `rate_limited`. */
  signalsPerSecond: 10_000,
  /** Members whom they reach at once. Beyond: as above. */
  signalBurst: 20_000,
  /** Sends of one socket that wait for their receipt. Beyond: `too_many_in_flight`. */
  sendsInFlight: 64,
  /** Events sent to a socket and not acknowledged by it. Beyond: the server stops sending. */
  unacknowledgedEvents: 512,
  /** Milliseconds a full window may stand still. Beyond: close `unacknowledged`. */
  unacknowledgedMs: 60_000,
  /** Bytes waiting in a socket's outbound buffer. Beyond: close `slow_reader`. */
  outboundBytes: 1024 * 1024,
  /** Milliseconds an outbound buffer may stand still. Beyond: close `slow_reader`. */
  drainMs: 30_000,
  /** Items in a user actor's mailbox. Beyond: `overloaded` for a frame, a re-read of the log for a delivery. */
  mailboxItems: 1_000,
  /** Bytes in a user actor's mailbox. Beyond: as above. */
  mailboxBytes: 1024 * 1024,
  /** Failures of a user actor caused by one socket within a minute, before it closes with `failing`. */
  failuresPerMinute: 5,
  /** Events in one page read from the log, over HTTP or for a socket. */
  pageEvents: 100,
  /** Bytes of bodies in one page read from the log; one event always fits. */
  pageBytes: 256 * 1024,
  /** Different emojis that one account may use on one message, those taken back included. Beyond: `too_many_reactions`. */
  reactionsPerAccount: 20,
  /** Reactions that a page shows of one message, the first ones. */
  reactionsShown: 200,
  /** Characters of a password, in NFKC; a setting may ask for more than the least. Beyond: `bad_request`. */
  passwordLeast: 8,
  passwordMost: 128,
  /** Milliseconds a mailed link to sign in or to choose a password works; it works once. Beyond: `link_invalid`. */
  signInLinkMs: 10 * 60_000,
  /** Milliseconds a mailed link to verify an address works. Beyond: `link_invalid`. */
  verifyLinkMs: 24 * 60 * 60_000,
  /** Links of one kind that an account is mailed in ten minutes. Beyond: none is sent, and nobody is told. */
  linksPerTenMinutes: 3,
  /** Live sessions of an account; a further sign-in ends the oldest. */
  sessionsPerAccount: 50,
  /** Members of a group, and ids in one answer. Beyond: `too_many_participants`. */
  participants: 1_000,
  /** Members of a channel. Beyond: `too_many_participants`. */
  channelMembers: 100_000,
  /** Sockets of one address that read public channels. Beyond: HTTP 429 in place of the upgrade. */
  publicPerAddress: 200,
  /** Frames that a `subscribe` counts as, because the log may have to be read for it. */
  subscribeFrames: 20,
  /** Announcements that a node keeps of a public channel, and that a reader may be behind. Beyond: close `slow_reader`. */
  publicRecent: 100,
  /** Characters of them. Beyond: as above. */
  publicRecentChars: 1024 * 1024,
  /** Members of the largest group whose members are contacts of each other, and are told what was delivered. */
  contactGroup: 100,
  /** People whom one account may block. Beyond: `too_many_blocked`. */
  blocks: 10_000,
  /** Messages that a report names. Beyond: `bad_request`. */
  reportMessages: 20,
  /** Characters of a note in a report, and of what one of its messages says. Beyond: `bad_request`. */
  reportChars: 2_000,
  /** Characters of what one device hands to another: 16 KiB once base64 is decoded. Beyond: `payload_too_large`. */
  keyExchangeChars: 21_848,
  /** Key exchanges of one account in a minute, and at once. Beyond: `rate_limited`. */
  keyExchangesPerMinute: 60,
  /** Entries that the inbox of a device holds. Beyond: `inbox_full`. */
  inboxEntries: 1_000,
  /** Bytes of them. Beyond: `inbox_full`. */
  inboxBytes: 4 * 1024 * 1024,
  /** Entries of one sender that it knows, what it acknowledged in the last two days among them. Beyond: `inbox_full`. */
  inboxEntriesOfOne: 100,
  /** Bytes that they had. Beyond: `inbox_full`. */
  inboxBytesOfOne: 512 * 1024,
  /** Entries sent to a device and not acknowledged by it. Beyond: the server waits. */
  inboxWindow: 32,
  /** Milliseconds until an entry goes that was not acknowledged. */
  inboxKeepMs: 30 * 24 * 60 * 60 * 1_000,
  /** Reports of one account in a day. Beyond: `rate_limited`. */
  reportsPerDay: 20,
  /** Characters of an encrypted private key. Beyond: `bad_request`. */
  privateKeyChars: 16_384,
  /** Cursors in one `resume` frame. Beyond: `bad_frame`. */
  resumeCursors: 1_000,
  /** Milliseconds a message id may differ from the database's clock. Beyond: `id_out_of_window`. */
  idWindowMs: 24 * 60 * 60 * 1_000,
  /** Seconds of the longest `expires_in` and retention (30 days). */
  expirySeconds: 30 * 24 * 60 * 60,
} as const;

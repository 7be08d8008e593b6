/** What a configuration holds, and what it is read from. */

/** A key for what the server encrypts at rest. */
export interface EncryptionKey {
  /** Stored beside what it encrypted, so a later configuration finds it again. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** A key for access tokens. */
export interface SigningKey {
  /** What tokens name it by (`kid`). */
  readonly id: string;
  readonly algorithm: "HS256" | "EdDSA";
  /** 32 bytes: the key of HMAC, or the seed of an Ed25519 key pair. */
  readonly key: Uint8Array;
}

/** The whole configuration of one server. */
export interface Config {
  readonly production: boolean;
  readonly host: string;
  /** 0 asks for any free port. */
  readonly port: number;
  /** Absolute path. */
  readonly dataDir: string;
  /** What clients reach the server at, without a slash at its end. */
  readonly baseUrl: string;
  readonly database: { readonly kind: "url"; readonly url: string } | { readonly kind: "embedded" };
  /** For migrations and partitions, where the application's role may not change the schema. */
  readonly maintenanceDatabaseUrl: string | null;
  /** Where nodes meet; `null`: this one is alone. */
  readonly redisUrl: string | null;
  readonly secretKey: string;
  /** The first one signs access tokens, all of them read. */
  readonly signingKeys: readonly SigningKey[];
  /** The first one encrypts, all of them decrypt. */
  readonly encryptionKeys: readonly EncryptionKey[];
  readonly accessTokenMinutes: number;
  readonly refreshTokenDays: number;
  readonly passwordHash: "argon2id" | "bcrypt";
  /** Characters that a password to choose has at least. */
  readonly passwordMinLength: number;
  /** How mails leave: to a server, into a folder of this machine, or not at all. */
  readonly mail:
    | { readonly kind: "smtp"; readonly url: string; readonly from: string }
    | { readonly kind: "folder"; readonly path: string; readonly from: string }
    | { readonly kind: "none" };
  /** Where links in mails lead, without a slash at its end. */
  readonly mailLinkUrl: string;
  readonly corsOrigins: readonly string[];
  /** Proxies, by address or network, whose X-Forwarded-For counts. */
  readonly trustedProxies: readonly string[];
  /** Who sends it may read /metrics from anywhere; `null`: only from this machine. */
  readonly metricsToken: string | null;
  /** Whether the room's socket takes an access token in its address. */
  readonly allowQueryToken: boolean;
  readonly rateLimitPerMinute: number;
  readonly rateLimitBurst: number;
  readonly heartbeatMs: number;
  readonly connectionTimeoutMs: number;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** Connections that append to the log. */
  readonly lanes: number;
  /** Processes that share the port; 1: this one serves by itself. */
  readonly clusterWorkers: number;
  /** Whether this process is one of them: its parent looks after the database. */
  readonly isWorker: boolean;
  /** The launcher's process: when it is gone, the server ends in order. */
  readonly launcherPid: number | null;
}

/** Variables by name, as `process.env` gives them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a machine adds to the environment. */
export interface MachineDefaults {
  /** Absolute path of a folder that can be written. */
  readonly dataDir: string;
  /** Secrets kept on this machine; used outside production only. */
  readonly secretKey: string;
  readonly encryptionKey: string;
}

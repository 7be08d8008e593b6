/** Variables that say where something is, judged together. Each fault is one sentence in `problems`. */
import { isIP } from "node:net";
import { join } from "node:path";
import type { Config, MachineDefaults } from "./shape.ts";
import type { Variables } from "./variables.ts";

/** What clients reach the server at, without a slash at its end. */
export function readBaseUrl(variables: Variables, production: boolean, problems: string[]): string {
  const text = variables.BASE_URL ?? (production ? "" : `http://localhost:${variables.PORT ?? 8000}`);
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "") {
    problems.push(
      `Set BASE_URL to the address that clients use, as https://chat.example.org: current value is ${withoutSecrets(text) || "none"}`,
    );
  } else if (production && url.protocol !== "https:") {
    problems.push(`Set BASE_URL to an https address in production: current value is ${text}`);
  }
  return trimmed(text);
}

/** Without a mail server mails go into a folder, so that everything can be tried; in production nobody would look there. */
export function readMail(
  variables: Variables,
  production: boolean,
  machine: MachineDefaults,
  problems: string[],
): Config["mail"] {
  const { SMTP_URL: url, MAIL_FROM: from } = variables;
  if (url !== undefined) {
    if (from !== undefined) return { kind: "smtp", url, from };
    problems.push("Set MAIL_FROM to the address that mails come from, as Sotto <chat@example.org>: SMTP_URL needs it");
  }
  if (production) return { kind: "none" };
  return { kind: "folder", path: join(machine.dataDir, "mail"), from: from ?? "Sotto <sotto@localhost>" };
}

/** Where links in mails lead. */
export function readLinkUrl(variables: Variables, baseUrl: string, production: boolean, problems: string[]): string {
  const text = variables.MAIL_LINK_URL;
  if (text === undefined) return baseUrl;
  const url = URL.canParse(text) ? new URL(text) : null;
  const secure = url?.protocol === "https:" || (!production && url?.protocol === "http:");
  if (url === null || !secure || url.username !== "" || url.search !== "" || url.hash !== "") {
    const wish = production ? "the https address" : "the address";
    problems.push(
      `Set MAIL_LINK_URL to ${wish} of the app that opens links, as https://app.example.org: current value is ${withoutSecrets(text)}`,
    );
  }
  return trimmed(text);
}

/** An address to show: what stands before the @ of it may be a password that belongs elsewhere. */
function withoutSecrets(address: string): string {
  return address.replace(/[^/]*@/g, "…@");
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, "");
}

/** Where the database is. */
export function readDatabase(variables: Variables, problems: string[]): Config["database"] {
  const {
    DATABASE_URL: url,
    DATABASE_HOST: host,
    DATABASE_USER: user,
    DATABASE_NAME: name,
    DATABASE_PASSWORD: password,
  } = variables;
  const parts = {
    DATABASE_HOST: host,
    DATABASE_PORT: variables.DATABASE_PORT,
    DATABASE_NAME: name,
    DATABASE_USER: user,
    DATABASE_PASSWORD: password,
  };
  const used = Object.entries(parts)
    .filter(([, value]) => value !== undefined)
    .map(([part]) => part);
  if (url !== undefined) {
    if (used.length > 0) problems.push(`Set DATABASE_URL or its parts, not both: ${used.join(", ")} also has a value`);
    return { kind: "url", url };
  }
  if (used.length === 0) return { kind: "embedded" };
  if (host === undefined || name === undefined || user === undefined) {
    const missing = Object.entries({ DATABASE_HOST: host, DATABASE_NAME: name, DATABASE_USER: user }).filter(
      ([, value]) => value === undefined,
    );
    problems.push(
      `Set ${missing.map(([part]) => part).join(" and ")} too: ${used.join(", ")} alone does not name a database`,
    );
    return { kind: "embedded" };
  }
  const credentials = [user, ...(password === undefined ? [] : [password])].map(encodeURIComponent).join(":");
  const address = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return {
    kind: "url",
    url: `postgres://${credentials}@${address}:${variables.DATABASE_PORT ?? 5432}/${encodeURIComponent(name)}`,
  };
}

/** How many processes share the port. */
export function readWorkers(variables: Variables, problems: string[]): number {
  const workers = variables.CLUSTER_WORKERS ?? 1;
  if (workers === 1) return workers;
  if (variables.REDIS_URL === undefined) {
    problems.push("Set REDIS_URL too: without it the CLUSTER_WORKERS could not tell each other what happened");
  }
  if (variables.PORT === 0) problems.push("Set PORT to the port that the CLUSTER_WORKERS share: current value is 0");
  return workers;
}

/** The parts of a list with commas. */
function listOf(text: string | undefined): string[] {
  const parts = (text ?? "").split(",").map((part) => part.trim());
  return parts.filter((part) => part !== "");
}

/** Proxies whose headers count. */
export function readProxies(variables: Variables, problems: string[]): string[] {
  const proxies = listOf(variables.TRUSTED_PROXIES);
  for (const proxy of proxies) {
    const [address = "", bits] = proxy.split("/");
    const valid = isIP(address) > 0 && (bits === undefined || /^\d{1,3}$/.test(bits));
    const most = isIP(address) === 6 ? 128 : 32;
    if (valid && Number(bits ?? 0) <= most) continue;
    problems.push(`Set TRUSTED_PROXIES to addresses or networks as 10.0.0.0/8: current value is ${proxy}`);
  }
  return proxies;
}

/** Web origins that may call. */
export function readOrigins(variables: Variables, problems: string[]): string[] {
  const origins = listOf(variables.CORS_ORIGINS);
  for (const origin of origins) {
    if (origin.includes("*")) {
      problems.push(
        `List CORS_ORIGINS one by one: a wildcard would let every site act for a signed-in person: current value is ${withoutSecrets(origin)}`,
      );
    } else if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      problems.push(
        `Set CORS_ORIGINS to origins as https://app.example.org, without path or slash: current value is ${withoutSecrets(origin)}`,
      );
    }
  }
  return origins;
}

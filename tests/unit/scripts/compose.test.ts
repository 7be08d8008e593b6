/**
 * docker-compose.yml, as far as it can be judged without a Docker engine: what it refers to is there,
 * nothing is open that need not be, and Sotto accepts the environment that it is given.
 */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseConfig } from "../../../src/config.ts";

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const ROOT = join(import.meta.dir, "../../..");
/** What the head of the file tells the operator to set. */
const OPERATOR: Readonly<Record<string, string>> = {
  POSTGRES_PASSWORD: "a/b@c d",
  SECRET_KEY: "q8vJ0mXr2LhTzY5nKc7wBd1gFs9uEp4A6iVoRjHx",
  ENCRYPTION_KEY: "5f1c9a7be2d04836a1b7c3d95e60f8247d3b9c1e8a45f06271d8e3b4c6950af2",
  BASE_URL: "https://chat.example.org",
};

/** Puts values in the places of `${NAME}`, `${NAME:-default}` and `${NAME:?sentence}`, as Compose does. */
function filledIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, kind?: string, rest = "") => {
    const value = values[name] ?? "";
    if (value !== "") return value;
    if (kind === "?") throw new Error(rest);
    return kind === "-" ? rest : "";
  });
}

async function compose(): Promise<Compose> {
  return Bun.YAML.parse(await readFile(join(ROOT, "docker-compose.yml"), "utf8")) as Compose;
}

function environmentOf(service: Service | undefined, values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(service?.environment ?? {}).map(([name, value]) => [name, filledIn(String(value), values)]),
  );
}

test("docker-compose.yml gives Sotto an environment that it starts with, in production", async () => {
  const { services } = await compose();
  for (const workers of ["", "4"]) {
    const values = { ...OPERATOR, CLUSTER_WORKERS: workers };
    const env = { NODE_ENV: "production", ...environmentOf(services["sotto"], values) };
    const config = parseConfig(env, { dataDir: "/data", secretKey: "", encryptionKey: "" });
    expect(config.clusterWorkers).toBe(workers === "" ? 1 : 4);
    expect(services).toHaveProperty(new URL(config.redisUrl ?? "").hostname);
    if (config.database.kind !== "url") throw new Error("No database is named");
    const database = new URL(config.database.url);
    expect(services).toHaveProperty(database.hostname);
    // Both sides of the database mean the same person, however odd the password is.
    const owner = environmentOf(services[database.hostname], values);
    expect([database.username, decodeURIComponent(database.password), database.pathname.slice(1)]).toEqual([
      owner["POSTGRES_USER"] ?? "",
      owner["POSTGRES_PASSWORD"] ?? "",
      owner["POSTGRES_DB"] ?? "",
    ]);
  }
});

test("docker-compose.yml refuses to start without each secret, and says which", async () => {
  const { services } = await compose();
  for (const missing of Object.keys(OPERATOR)) {
    const values = { ...OPERATOR, [missing]: "" };
    expect(() => Object.values(services).map((service) => environmentOf(service, values))).toThrow(`Set ${missing}`);
  }
});

test("docker-compose.yml names what there is: images by version, services that are waited for, volumes", async () => {
  const { services, volumes } = await compose();
  for (const service of Object.values(services)) {
    expect(service.build ?? service.image).toMatch(/^\.$|^[\w./-]+:\d+(\.\d+)+$/);
    for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(services).toHaveProperty(name);
      if (condition === "service_healthy") expect(services[name]?.healthcheck?.test.length).toBeGreaterThan(1);
      else expect(condition).toBe("service_started");
    }
    for (const volume of service.volumes ?? []) expect(volumes).toHaveProperty(volume.split(":")[0] ?? "");
    // Only this machine reaches what is published: a proxy that ends TLS stands before it.
    for (const port of service.ports ?? []) expect(port).toStartWith("127.0.0.1:");
  }
});

import { readFileSync } from "node:fs"
import { appendFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Redacted, type Scope } from "effect"
import { embeddedPostgres } from "../../src/postgres/embedded/embeddedPostgres.ts"
import { postmasterIn, scratchDataDir } from "./embedded.ts"
import { PROJECT } from "./package.ts"
import { type PostgresVersion, resolveFrom, runSql } from "./postgres.ts"

/** A server as a merchant runs one, with the logins and the database that `deploy/roles.sql` makes. */
export interface GivenServer {
  readonly ownerUrl: Redacted.Redacted
  readonly readerUrl: Redacted.Redacted
  /** The server's superuser, in the warehouse's database. */
  readonly adminUrl: Redacted.Redacted
}

const PASSWORDS: Readonly<Record<string, string>> = { OWNER_PASSWORD: "owner", READER_PASSWORD: "reader" }

/** The parts of the script between changes of database, each as plain SQL: psql's own commands are done here. */
const partsOf = (script: string): ReadonlyArray<string> => {
  const variables = new Map(
    [...script.matchAll(/^\\getenv (\w+) (\w+)$/gm)].map(([, name, from]) => [name!, from!]),
  )
  return script
    .replace(/^\\getenv .*$/gm, "")
    .replace(/:'(\w+)'/g, (_, name) => `'${PASSWORDS[variables.get(name) ?? ""]}'`)
    .split(/^\\connect \w+$/m)
}

/** Starts a server of this version, and runs `deploy/roles.sql` there; it is gone when the scope closes. */
export const givenServer = (version: PostgresVersion): Effect.Effect<GivenServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    // The server has logins of these names already: the script's get others, but for the group.
    const script = readFileSync(join(PROJECT, "deploy/roles.sql"), "utf8")
      .replace(/^CREATE ROLE paycombat_reader .*\n/m, "")
      .replace(/\b(paycombat|paycombat_query|warehouse)\b(?=[; ]|$)/gm, "given_$1")
      // As on a fresh server: the embedded one's template takes rights from PUBLIC.
      .replace("OWNER given_paycombat;", "OWNER given_paycombat TEMPLATE template0;")
    const dataDir = yield* scratchDataDir
    const server = yield* Effect.orDie(
      embeddedPostgres(dataDir, { resolveFrom: resolveFrom(version), settings: { fsync: "off" } }),
    )
    const rules =
      "host all postgres 127.0.0.1/32 trust\nhost given_warehouse all 127.0.0.1/32 scram-sha-256\n"
    yield* Effect.promise(() => appendFile(join(server.directory, "pg_hba.conf"), rules))
    process.kill(postmasterIn(dataDir), "SIGHUP")
    const at = (login: string, database = "given_warehouse") =>
      Redacted.make(`postgres://${login}@127.0.0.1:${server.port}/${database}`)
    const parts = partsOf(script)
    yield* Effect.promise(async () => {
      for (const [index, part] of parts.entries()) {
        const url = index === 0 ? at("postgres", "postgres") : at("postgres")
        // CREATE DATABASE is no part of a transaction, which several statements at once are.
        for (const statement of part.replace(/^--.*$/gm, "").split(";"))
          if (statement.trim() !== "") await runSql(url, statement)
      }
    })
    return {
      ownerUrl: at("given_paycombat:owner"),
      readerUrl: at("given_paycombat_query:reader"),
      adminUrl: at("postgres"),
    }
  })

import { join, resolve } from "node:path"
import { Effect, Either, Option, type Redacted, type Scope } from "effect"
import type postgres from "postgres"
import type { DatabaseSettings } from "../config/config.ts"
import { connect } from "../postgres/connect.ts"
import { type EmbeddedServer, embeddedPostgres } from "../postgres/embedded/embeddedPostgres.ts"
import { probeStart, type StartProbe } from "../postgres/embedded/startProbe.ts"
import {
  type DatabaseFacts,
  databaseFacts,
  directoryFacts,
  foreignInfluences,
  OLDEST_VERSION,
  readableByRole,
} from "../warehouse/read/checkup.ts"
import { asReader } from "../warehouse/read/reader.ts"
import { verdictsOf } from "../warehouse/read/verdict.ts"
import { pendingMigrations } from "../warehouse/schema/migrator.ts"
import { CheckReporter, checkOf, type Finding, ofClock } from "./finding.ts"

/** Examines the Postgres of the warehouse. Changes nothing, and starts an existing embedded server. */

/** Free space in bytes, below which the embedded server will soon stop working, and below which a warning is due. */
const FREE_BYTES_MIN = 200e6
const FREE_BYTES_LOW = 2e9
const READER_MILLIS = 10_000

/** A database that answers, and whether its tables are this program's. */
export interface Opened {
  readonly sql: postgres.Sql
  readonly isMigrated: boolean
}

/**
 * The database of an examination. `none`: it was never created, so no run with these settings can be under way. `away`:
 * it cannot be asked, and a run may be under way on this or another host.
 */
export type Ground = Opened | "none" | "away"

const spaceFinding = (freeBytes: number, directory: string): Finding => {
  const free = `${gigabytes(freeBytes)} free on the disk of ${directory}`
  if (freeBytes < FREE_BYTES_MIN)
    return checkOf("disk space").fail(`${free}: free some, or move PAYCOMBAT_DATA_DIR.`)
  return freeBytes < FREE_BYTES_LOW
    ? checkOf("disk space").warn(`${free}: that is little; free some, or move PAYCOMBAT_DATA_DIR.`)
    : checkOf("disk space").pass(`${free}.`)
}

const unwritable = (dataDir: string): Finding =>
  checkOf("data directory").fail(
    `${dataDir} cannot be written: give it to this user, or set PAYCOMBAT_DATA_DIR.`,
  )

/** Findings about an embedded Postgres that does not exist yet. */
const probeFindings = (dataDir: string, { home, major, isWritable, freeBytes }: StartProbe) => [
  checkOf("embedded Postgres").pass(
    `nothing was synced yet: there is no database in ${home}, and the first sync makes it. Its programs, Postgres ${major}, run on this machine.`,
  ),
  ...(isWritable ? [] : [unwritable(dataDir)]),
  spaceFinding(freeBytes, dataDir),
]

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`

const embeddedFindings = (dataDir: string, { directory, port, notes }: EmbeddedServer) =>
  Effect.gen(function* () {
    const facts = yield* directoryFacts(join(resolve(dataDir), "postgres"), directory)
    const check = "embedded Postgres"
    const runsAs =
      facts === undefined || facts.ownerId === process.getuid?.()
        ? "this user"
        : `the account with number ${facts.ownerId}`
    const findings = [
      checkOf(check).pass(`is up on 127.0.0.1:${port}, runs as ${runsAs}, keeps its files in ${directory}.`),
      ...notes.map(note => checkOf(check).pass(note)),
    ]
    if (facts === undefined) return findings
    if (!facts.isWritable) findings.push(unwritable(dataDir))
    findings.push(spaceFinding(facts.freeBytes, directory))
    return findings
  })

const serverFindings = (facts: DatabaseFacts): ReadonlyArray<Finding> => {
  const middle = (facts.askedAt.getTime() + facts.answeredAt.getTime()) / 2
  const uncertain = (facts.answeredAt.getTime() - facts.askedAt.getTime()) / 2
  const skew = facts.now.getTime() - middle
  return [
    facts.versionNumber < OLDEST_VERSION
      ? checkOf("database version").fail(
          `Postgres ${facts.version}: ${OLDEST_VERSION / 10_000} or newer is needed; update it, or set DATABASE_URL to another.`,
        )
      : checkOf("database version").pass(`Postgres ${facts.version}.`),
    ofClock("database clock", "Postgres", Math.abs(skew) <= uncertain ? 0 : skew),
    ...(facts.encoding === "UTF8"
      ? []
      : [
          checkOf("database encoding").fail(
            `is ${facts.encoding}: names and texts need UTF8; make the database with ENCODING 'UTF8'.`,
          ),
        ]),
    facts.fsync === "on" && facts.fullPageWrites === "on"
      ? checkOf("durability").pass("fsync and full_page_writes are on.")
      : checkOf("durability").warn(
          `fsync is ${facts.fsync}, full_page_writes ${facts.fullPageWrites}: a power cut may destroy the history that PayCombat does not keep; turn both on.`,
        ),
  ]
}

const rightsFindings = (facts: DatabaseFacts, isEmbedded: boolean): ReadonlyArray<Finding> => {
  const { login, owner, mayOwn, mayCreate, isReadOnly } = facts
  if (isReadOnly)
    return [
      checkOf("rights").fail(
        "nothing can be written there: connect to the primary, and see default_transaction_read_only.",
      ),
    ]
  const mayMigrate = owner === null ? mayCreate : mayOwn
  const rights = !mayMigrate
    ? checkOf("rights").fail(
        owner === null
          ? `login ${login} may not create schemas in this database: GRANT CREATE ON DATABASE to it.`
          : `the warehouse belongs to role ${owner}, which login ${login} is no member of: connect as ${owner}.`,
      )
    : facts.isSuperuser
      ? checkOf("rights").warn(
          `login ${login} is a superuser, which nothing here needs: use one that owns the database.`,
        )
      : checkOf("rights").pass(`login ${login} may make and change the tables.`)
  const role = facts.hasReaderRole
    ? checkOf("reader role").pass("paycombat_reader is there.")
    : facts.mayCreateRoles || isEmbedded
      ? checkOf("reader role").pass("paycombat_reader is not there yet: `migrate` makes it.")
      : checkOf("reader role").warn(
          "paycombat_reader is not there, and this login may not make it: ask an administrator for CREATE ROLE paycombat_reader NOLOGIN, then run `paycombat-sync migrate`.",
        )
  return [rights, role]
}

/** Fails if other logins can plant functions that run with the rights of this one, or that decide what is stored. */
const schemaFindings = (sql: postgres.Sql) =>
  Effect.map(Effect.either(foreignInfluences(sql)), looked => {
    if (looked._tag === "Left") return [checkOf("schemas").fail(looked.left.message)]
    const found = looked.right
    return found.length === 0
      ? [checkOf("schemas").pass("no other login can create in ours, or in one of this login's path.")]
      : found.map(message => checkOf("schemas").fail(`${message}.`))
  })

/** Most names listed in a line; the others are counted. */
const NAMES_SHOWN = 5

const someOf = (names: ReadonlyArray<string>): string =>
  names.slice(0, NAMES_SHOWN).join(", ") +
  (names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "")

/** The pending migrations as findings, and whether there are tables to query. */
const migrationFindings = (sql: postgres.Sql, isEmbedded: boolean, hasTables: boolean) =>
  Effect.map(Effect.either(pendingMigrations(sql)), pending => {
    if (pending._tag === "Left")
      return { isMigrated: false, findings: [checkOf("migrations").fail(pending.left.message)] }
    const { migrations, views, grants } = pending.right
    const missing = `${migrations.length} migrations and ${views.length} views to go`
    const found =
      migrations.length + views.length === 0
        ? checkOf("migrations").pass("the database is up to date.")
        : isEmbedded
          ? checkOf("migrations").pass(`${missing}: the next sync applies them.`)
          : checkOf("migrations").fail(`${missing}: run \`paycombat-sync migrate\`.`)
    const unreadable =
      grants.length === 0
        ? []
        : [
            checkOf("reader role").warn(
              `paycombat_reader cannot read ${someOf(grants)} of analytics: run \`paycombat-sync migrate\`, which lets it.`,
            ),
          ]
    return { isMigrated: hasTables && migrations.length === 0, findings: [found, ...unreadable] }
  })

/** Examines the login of `query` and `report`: it must be able to read analytics, and nothing else. */
const readerFindings = (sql: postgres.Sql, readerUrl: Option.Option<Redacted.Redacted>) =>
  Effect.gen(function* () {
    const readable = yield* Effect.orElseSucceed(readableByRole(sql), () => [])
    const ofRole =
      readable.length === 0
        ? []
        : [
            checkOf("reader role").warn(
              `paycombat_reader can also read ${someOf(readable)}, which hold personal data: REVOKE that unless it is intended.`,
            ),
          ]
    if (Option.isNone(readerUrl))
      return [
        ...ofRole,
        checkOf("reader login").warn(
          "PAYCOMBAT_READER_URL is not set: `query` and `report` need a login that is a member of paycombat_reader and no more.",
        ),
      ]
    const session = { name: "doctor", milliseconds: READER_MILLIS }
    const asked = yield* Effect.either(asReader(readerUrl.value, session, () => Effect.void))
    return [
      ...ofRole,
      asked._tag === "Right"
        ? checkOf("reader login").pass("may read analytics and nothing else.")
        : checkOf("reader login").fail(asked.left.message),
    ]
  })

/** Reports the equations that differ, in the words of the verdict. */
const equationFindings = (sql: postgres.Sql) =>
  Effect.map(
    Effect.orElseSucceed(verdictsOf(sql), () => []),
    verdicts =>
      verdicts.flatMap(({ account, findings }) =>
        findings.flatMap(({ kind, text }) =>
          kind === "ledger_check" ? [checkOf("equations", { account }).warn(text)] : [],
        ),
      ),
  )

const open = (settings: DatabaseSettings) =>
  Effect.gen(function* () {
    if (Option.isSome(settings.url))
      return { sql: yield* connect(settings.url.value), readerUrl: settings.readerUrl, findings: [] }
    const server = yield* embeddedPostgres(settings.dataDir)
    return {
      sql: yield* connect(server.ownerUrl),
      readerUrl: Option.some(server.readerUrl),
      findings: yield* embeddedFindings(settings.dataDir, server),
    }
  })

/** Examines the configured Postgres, and reports findings. `none` and `away`: see `Ground`. */
export const examineDatabase = (settings: DatabaseSettings): Effect.Effect<Ground, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { report, start } = yield* CheckReporter
    const reportAll = (findings: ReadonlyArray<Finding>) =>
      Effect.forEach(findings, report, { discard: true })
    const isEmbedded = Option.isNone(settings.url)
    yield* start(isEmbedded ? "starting the embedded Postgres" : "connecting to the database")
    const prospect = isEmbedded
      ? yield* Effect.either(probeStart(settings.dataDir))
      : Either.right<StartProbe | undefined>(undefined)
    if (Either.isLeft(prospect)) {
      yield* report(checkOf("embedded Postgres").fail(prospect.left.message))
      return "away"
    }
    if (prospect.right !== undefined) {
      yield* reportAll(probeFindings(settings.dataDir, prospect.right))
      return "none"
    }
    const opened = yield* Effect.either(open(settings))
    if (opened._tag === "Left") {
      yield* report(checkOf(isEmbedded ? "embedded Postgres" : "database").fail(opened.left.message))
      return "away"
    }
    const { sql, readerUrl, findings } = opened.right
    yield* reportAll(findings)
    if (!isEmbedded) yield* report(checkOf("database").pass("answers."))
    const looked = yield* Effect.either(databaseFacts(sql))
    if (looked._tag === "Left") {
      yield* report(checkOf("database").fail(looked.left.message))
      return "away"
    }
    const facts = looked.right
    yield* reportAll([...serverFindings(facts), ...rightsFindings(facts, isEmbedded)])
    yield* reportAll(yield* schemaFindings(sql))
    const { isMigrated, findings: migrations } = yield* migrationFindings(
      sql,
      isEmbedded,
      facts.owner !== null,
    )
    yield* reportAll(migrations)
    if (isMigrated) {
      yield* reportAll(yield* readerFindings(sql, readerUrl))
      yield* reportAll(yield* equationFindings(sql))
    }
    return { sql, isMigrated }
  })

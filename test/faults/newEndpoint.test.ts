import { execFile, spawn } from "node:child_process"
import { cp, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { PROJECT } from "../support/package.ts"
import { runSql, temporaryDirectory, testDatabase } from "../support/postgres.ts"

/**
 * The guide "Add an endpoint" of CONTRIBUTING.md, followed in a copy of the project: a stream file, a fixture and a
 * generated migration, and nothing else. Slow, because it builds a program and makes databases.
 */

/** `src/streams/beneficiaries.ts`: a list that no other file of the project knows. */
const STREAM = `import { primaryKey, text } from "drizzle-orm/pg-core"
import { Schema } from "effect"
import { Code, Id, Instant, loose, maybe, name, Text } from "../core/fields.ts"
import { defineStream } from "../core/stream.ts"
import { instant, recordColumns, warehouse } from "../warehouse/schema/columns.ts"

/** Get All Beneficiary (?). */
const Beneficiary = Schema.Struct({
  beneficiary_id: Id,
  org_id: maybe(Text),
  customer_id: name,
  status: maybe(Text),
  first_name: maybe(Text),
  last_name: maybe(Text),
  bank_name: maybe(Text),
  account_number: loose,
  currency: Code,
  created_at: maybe(Instant),
  updated_at: maybe(Instant),
})

export const beneficiaries = warehouse.table(
  "beneficiaries",
  {
    ...recordColumns(),
    beneficiaryId: text("beneficiary_id").notNull(),
    orgId: text("org_id"),
    customerId: text("customer_id"),
    status: text("status"),
    firstName: text("first_name"),
    lastName: text("last_name"),
    bankName: text("bank_name"),
    accountNumber: text("account_number"),
    currency: text("currency").notNull(),
    createdAt: instant("created_at"),
    updatedAt: instant("updated_at"),
  },
  table => [primaryKey({ columns: [table.account, table.beneficiaryId] })],
)

export default defineStream({
  name: "beneficiaries",
  version: 1,
  source: {
    kind: "list",
    paths: ["/api/v1/beneficiary/get-all", "/api/v1/beneficiary/list"],
    idField: "beneficiary_id",
    merchantField: "org_id",
    recognizes: record => "account_number" in record,
    detail: { isNeeded: () => false, paths: id => [\`/api/v1/beneficiary/\${id}\`] },
    times: { created: "created_at", updated: "updated_at", open: null },
  },
  table: beneficiaries,
  idColumn: "beneficiary_id",
  personal: {
    plain: {
      org_id: "id",
      customer_id: "id",
      status: "code",
      currency: "code",
      created_at: "time",
      updated_at: "time",
    },
    subject: { kind: "named", of: "customers", field: "customer_id" },
  },
  documented: { values: { status: ["ACTIVE", "INACTIVE"] } },
  record: Beneficiary,
  normalize: beneficiary => ({ row: beneficiary, sourceUpdatedAt: beneficiary.updated_at }),
})
`

/** `src/streams/payins.ts`: a look-up of the ids that payments name. */
const LOOKUP = `import { primaryKey, text } from "drizzle-orm/pg-core"
import { Schema } from "effect"
import { Amount, Code, Id, Instant, maybe } from "../core/fields.ts"
import { defineStream } from "../core/stream.ts"
import { amount, instant, recordColumns, warehouse } from "../warehouse/schema/columns.ts"

/** Retrieve Payin (?): answers with PayCombat's own id beside the one that was asked for. */
const Payin = Schema.Struct({
  id: Id,
  payin_id: Id,
  status: Code,
  amount: Amount,
  updated_at: maybe(Instant),
})

export const payins = warehouse.table(
  "payins",
  {
    ...recordColumns(),
    payinId: text("payin_id").notNull(),
    providerPayinId: text("provider_payin_id").notNull(),
    status: text("status").notNull(),
    amount: amount("amount").notNull(),
    updatedAt: instant("updated_at"),
  },
  table => [primaryKey({ columns: [table.account, table.payinId] })],
)

export default defineStream({
  name: "payins",
  version: 1,
  source: {
    kind: "lookup",
    keys: [
      {
        stream: "transactions",
        column: "event_id",
        only: { column: "event_type", oneOf: ["PAYIN"] },
        time: "created_at",
      },
    ],
    first: "newest",
    paths: key => [\`/api/v1/payin/retrieve-payin/\${key}\`],
    keyField: "payin_id",
    idField: "id",
    answer: { kind: "records", keyColumn: "provider_payin_id" },
    recheck: { open: { column: "status", noneOf: ["COMPLETED"] }, pace: "doubling", afterChange: false },
    maxCalls: { variable: "PAYCOMBAT_PAYINS_MAX_CALLS", otherwise: 20 },
  },
  table: payins,
  idColumn: "payin_id",
  personal: {
    plain: { id: "id", payin_id: "id", status: "code", amount: "amount", updated_at: "time" },
  },
  documented: { values: { status: ["PENDING", "COMPLETED"] } },
  record: Payin,
  normalize: ({ id, payin_id, ...payin }) => ({
    row: { ...payin, payin_id: id, provider_payin_id: payin_id },
    sourceUpdatedAt: payin.updated_at,
  }),
})
`

const PAYIN = {
  id: "5b0d3c1e-9a55-4c1f-8f6e-2d9a1b7c4e3f",
  payin_id: "payin_1344b7c5a4d74575ac5d08dc05051dd3",
  status: "COMPLETED",
  amount: 100.5,
  updated_at: "2025-03-18T09:00:00.500Z",
}

/** `test/fixtures/streams/payins.json`. */
const LOOKUP_FIXTURE = {
  required: ["id", "payin_id", "status", "amount"],
  record: PAYIN,
  sourceUpdatedAt: PAYIN.updated_at,
  row: {
    status: PAYIN.status,
    amount: "100.5",
    updated_at: PAYIN.updated_at,
    payin_id: PAYIN.id,
    provider_payin_id: PAYIN.payin_id,
  },
}

const RECORD = {
  beneficiary_id: "beneficiary_1f6a0b2c9d3e4f5a8b7c6d5e4f3a2b1c",
  org_id: "org_59b8fb2f52254f95ac54d0e140f4e429",
  customer_id: "customer_67d84b19d50b490a8fa75ab20bbf275a",
  status: "ACTIVE",
  first_name: "Jane",
  last_name: "Doe",
  bank_name: "Harbour Bank",
  account_number: "12345678",
  currency: "AUD",
  created_at: "2025-03-17T16:21:13.000Z",
  updated_at: "2025-03-18T09:00:00.500Z",
}

/** `test/fixtures/streams/beneficiaries.json`. */
const FIXTURE = {
  required: ["beneficiary_id", "currency"],
  record: RECORD,
  sourceUpdatedAt: RECORD.updated_at,
  row: RECORD,
}

/** Compiles, checks and tests a project, and makes two databases: some forty seconds of one core. */
const TIME_LIMIT_MILLIS = 600_000

const execute = promisify(execFile)

/** Settings of this program and of the running tests are no business of the copy. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(PAYCOMBAT_|DATABASE_URL$|VITEST|NODE_ENV$)/.test(name)),
)

interface Ended {
  readonly code: number
  readonly output: string
}

/** The files that git knows, as they are now, with the installed packages beside them. */
const copyOfProject = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  yield* Effect.promise(async () => {
    const { stdout } = await execute(
      "git",
      ["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
      {
        cwd: PROJECT,
      },
    )
    for (const path of stdout.split("\0").filter(path => path !== ""))
      await cp(join(PROJECT, path), join(directory, path))
    await symlink(join(PROJECT, "node_modules"), join(directory, "node_modules"))
  })
  return directory
})

/** The sandbox of a project, until the scope ends. */
const serving = (project: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const child = spawn(process.execPath, ["dist/main.js", "sandbox", "--port", "0", "--json"], {
        cwd: project,
        stdio: ["ignore", "pipe", "ignore"],
      })
      let printed = ""
      for await (const chunk of child.stdout) {
        printed += chunk
        if (printed.trimEnd().endsWith("}")) break
      }
      return { child, ...(JSON.parse(printed) as { readonly url: string; readonly token: string }) }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL")),
  )

describe("the guide for a new endpoint", () => {
  it.scopedLive(
    "suffices for a list and a look-up: conformance, demo, sync, rebuild",
    () =>
      Effect.gen(function* () {
        const project = yield* copyOfProject
        const run = (
          command: string,
          args: ReadonlyArray<string>,
          more: Readonly<Record<string, string>> = {},
        ) =>
          Effect.promise(
            (): Promise<Ended> =>
              execute(command, args, {
                cwd: project,
                env: { ...ENVIRONMENT, ...more },
                maxBuffer: 64 * 2 ** 20,
              }).then(
                ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
                ({ code, stdout, stderr }) => ({ code, output: stdout + stderr }),
              ),
          )
        const program = (args: ReadonlyArray<string>, more: Readonly<Record<string, string>> = {}) =>
          run(process.execPath, ["dist/main.js", ...args], more)
        const passes = ({ code, output }: Ended) => expect(code === 0 ? "passes" : output).toBe("passes")

        const write = (path: string, content: string | object) =>
          Effect.promise(() =>
            writeFile(
              join(project, path),
              typeof content === "string" ? content : `${JSON.stringify(content, undefined, 2)}\n`,
            ),
          )
        yield* write("src/streams/beneficiaries.ts", STREAM)
        yield* write("src/streams/payins.ts", LOOKUP)
        yield* write("test/fixtures/streams/payins.json", LOOKUP_FIXTURE)
        passes(yield* run("npx", ["tsx", "scripts/build.ts"]))
        const withoutFixture = yield* program(["sandbox", "--port", "0"])
        expect(withoutFixture.code).toBe(2)
        expect(withoutFixture.output).toContain(
          "Write test/fixtures/streams/beneficiaries.json in this form:",
        )

        yield* Effect.promise(() =>
          writeFile(
            join(project, "test/fixtures/streams/beneficiaries.json"),
            `${JSON.stringify(FIXTURE, undefined, 2)}\n`,
          ),
        )
        const migrated = yield* run("npm", ["run", "migrations", "--", "--name", "two_streams"])
        passes(migrated)
        expect(migrated.output).toMatch(/drizzle\/\d{4}_two_streams\.sql/)
        passes(yield* run("npm", ["run", "check"]))
        passes(yield* run("npx", ["tsx", "scripts/build.ts"]))

        passes(
          yield* run("npx", [
            ...["vitest", "run", "--minWorkers=1", "--maxWorkers=1"],
            ...[
              "test/streams.test.ts",
              "test/declaration.test.ts",
              "test/registry.test.ts",
              "test/privacy/personal.test.ts",
            ],
          ]),
        )

        const demo = yield* program(["demo"])
        passes(demo)
        expect(demo.output).toMatch(/│ beneficiaries +│ complete +│ +12 │/)
        expect(demo.output).toMatch(/│ payins +│ complete +│ +20 │ +20 │/)
        expect(demo.output).toContain(
          "beneficiaries: the sandbox served copies of its fixture's record, so its figures were not compared.",
        )

        const { ownerUrl } = yield* testDatabase()
        const sandbox = yield* serving(project)
        const environment = {
          DATABASE_URL: Redacted.value(ownerUrl),
          PAYCOMBAT_BASE_URL: sandbox.url,
          PAYCOMBAT_TOKEN: sandbox.token,
        }
        const sql = (statement: string) => Effect.promise(() => runSql(ownerUrl, statement))
        const names = sql("SELECT beneficiary_id, first_name FROM warehouse.beneficiaries ORDER BY 1")
        passes(yield* program(["sync", "--migrate"], environment))
        const stored = yield* names
        expect(stored).toHaveLength(12)
        expect(new Set(stored.map(row => row.first_name))).toEqual(new Set(["Jane"]))
        const again = yield* program(["sync", "--stream", "beneficiaries"], environment)
        passes(again)
        expect(again.output).toMatch(/│ beneficiaries +│ complete +│ +12 │ +0 │ +0 │ +12 │/)
        yield* sql("UPDATE warehouse.beneficiaries SET first_name = 'spoiled'")
        passes(yield* program(["rebuild", "--stream", "beneficiaries"], environment))
        expect(yield* names).toEqual(stored)
        const asked = yield* sql(
          `SELECT count(*)::int AS count FROM warehouse.payins
         JOIN warehouse.transactions USING (account) WHERE event_id = provider_payin_id AND event_type = 'PAYIN'`,
        )
        expect(asked[0]!.count).toBeGreaterThanOrEqual(20)
        passes(yield* program(["status"], environment))
      }),
    TIME_LIMIT_MILLIS,
  )
})

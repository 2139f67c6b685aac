import { Effect } from "effect"
import * as App from "../../app.ts"
import { ConfigurationError } from "../../core/errors.ts"
import { isConfirmed, refuseUnasked } from "../terminal/confirm.ts"
import { print, printJson, say } from "../terminal/output.ts"
import { visible } from "../terminal/visible.ts"
import { waiting } from "../terminal/waiting.ts"

interface Options {
  readonly customer: string
  readonly account: ReadonlyArray<string>
  readonly yes: boolean
  readonly dryRun: boolean
  readonly json: boolean
}

const NOTHING_ERASED = "Nothing was erased."

/** The accounts to erase from: those that know the customer, of the ones named. */
const accountsFor = ({ customer, account }: Options) =>
  Effect.gen(function* () {
    const known = yield* App.accountsOfCustomer(customer)
    const accounts = known.filter(name => account.length === 0 || account.includes(name))
    if (accounts.length > 0) return accounts
    const where = account.length === 0 ? "" : ` of account ${account.join(", ")}`
    return yield* new ConfigurationError({
      message: `Nothing was erased: no record${where} names this customer. Check the id: it is the customer_id as PayCombat has it.`,
    })
  })

const counted = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} in ${name}`)
    .join(", ") || "none"

const preview = (options: Options, accounts: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const erasures = yield* waiting("counting", () =>
      Effect.forEach(accounts, account => App.previewErasure(options.customer, account)),
    )
    if (options.json) return yield* printJson(erasures.map(erasure => ({ ...erasure, isDryRun: true })))
    for (const { account, deleted, stripped, rejects } of erasures)
      yield* print(
        `${visible(account)}: would be erased. Rows that would go: ${counted(deleted)}; rejects: ${rejects}.` +
          ` Records that would stay without their personal fields: ${counted(stripped)}.`,
      )
    yield* say(NOTHING_ERASED)
  })

/** Erases a customer, or counts what would go, and says so in numbers. */
export const run = (options: Options) =>
  Effect.zipRight(
    refuseUnasked(
      options.yes || options.dryRun,
      `${NOTHING_ERASED} It cannot be undone, and there is no terminal to ask at: add --yes to erase, or --dry-run to count what would go.`,
    ),
    Effect.provide(erase(options), App.configuredExisting),
  )

const erase = (options: Options) =>
  Effect.gen(function* () {
    const accounts = yield* waiting("looking for the customer", () => accountsFor(options))
    if (options.dryRun) return yield* preview(options, accounts)
    const question = `Erase this customer from account ${accounts.join(", ")} for good? It cannot be undone.`
    if (!options.yes && !(yield* isConfirmed(question, NOTHING_ERASED))) return yield* say(NOTHING_ERASED)
    const erasures = yield* waiting("erasing", () =>
      Effect.forEach(accounts, account => App.eraseCustomer(options.customer, account)),
    )
    if (options.json) return yield* printJson(erasures)
    for (const { account, deleted, stripped, rejects } of erasures) {
      yield* print(
        `${visible(account)}: erased. Rows deleted: ${counted(deleted)}; rejects: ${rejects}.` +
          ` Records that stay without their personal fields: ${counted(stripped)}.`,
      )
    }
    yield* say(
      "Not reached: backups, replicas and logs of Postgres. Restoring a backup from before now brings the person back where this erasure is not known: erase again then.",
    )
  })

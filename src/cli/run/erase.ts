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

/** Finds the accounts to erase from: those with records of the customer, among the named ones. */
const accountsFor = ({ customer, account }: Options) =>
  Effect.gen(function* () {
    const holders = yield* App.accountsOfCustomer(customer)
    const accounts = holders.filter(name => account.length === 0 || account.includes(name))
    if (accounts.length > 0) return accounts
    const where = account.length === 0 ? "" : ` of account ${account.join(", ")}`
    return yield* new ConfigurationError({
      message: `Nothing was erased: no record${where} names this customer. Check the id: it must be PayCombat's customer_id.`,
    })
  })

const countsIn = (counts: Readonly<Record<string, number>>): string =>
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
        `${visible(account)}: would be erased. Rows that would be deleted: ${countsIn(deleted)}; rejects: ${rejects}.` +
          ` Records that would stay without their personal fields: ${countsIn(stripped)}.`,
      )
    yield* say(NOTHING_ERASED)
  })

export const run = (options: Options) =>
  Effect.zipRight(
    refuseUnasked(
      options.yes || options.dryRun,
      `${NOTHING_ERASED} It cannot be undone, and there is no terminal to ask at: add --yes to erase, or --dry-run to count the rows.`,
    ),
    Effect.provide(erase(options), App.configuredExisting),
  )

const erase = (options: Options) =>
  Effect.gen(function* () {
    const accounts = yield* waiting("searching for the customer", () => accountsFor(options))
    if (options.dryRun) return yield* preview(options, accounts)
    const question = `Erase this customer from account ${accounts.join(", ")} for good? It cannot be undone.`
    if (!options.yes && !(yield* isConfirmed(question, NOTHING_ERASED))) return yield* say(NOTHING_ERASED)
    const erasures = yield* waiting("erasing", () =>
      Effect.forEach(accounts, account => App.eraseCustomer(options.customer, account)),
    )
    if (options.json) return yield* printJson(erasures)
    for (const { account, deleted, stripped, rejects } of erasures) {
      yield* print(
        `${visible(account)}: erased. Rows deleted: ${countsIn(deleted)}; rejects: ${rejects}.` +
          ` Records that stay without their personal fields: ${countsIn(stripped)}.`,
      )
    }
    yield* say(
      "Not erased: backups, replicas and logs of Postgres. Restoring an older backup brings the customer back if this erasure is not known there. Then erase again.",
    )
  })

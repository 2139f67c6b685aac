import { createInterface } from "node:readline"
import { Effect } from "effect"
import * as App from "../App.ts"
import { ConfigurationError } from "../Errors.ts"
import { print, printJson, say } from "./output.ts"
import { waiting } from "./waiting.ts"

interface Options {
  readonly customer: string
  readonly account: ReadonlyArray<string>
  readonly yes: boolean
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

/** Whether a person at the terminal means it; where nobody can be asked, whoever wrote the command does. */
const isMeant = (accounts: ReadonlyArray<string>) =>
  Effect.async<boolean>(resume => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    const question = `Erase this customer from account ${accounts.join(", ")} for good? It cannot be undone. [y/N] `
    terminal.on("close", () => resume(Effect.succeed(false)))
    // The interface keeps Ctrl-C for itself: there is no signal.
    terminal.on("SIGINT", () => {
      resume(Effect.zipRight(say(`\n${NOTHING_ERASED}`), Effect.interrupt))
      terminal.close()
    })
    terminal.question(question, answer => {
      resume(Effect.succeed(/^y(es)?$/i.test(answer.trim())))
      terminal.close()
    })
    return Effect.sync(() => terminal.close())
  })

const counted = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} in ${name}`)
    .join(", ") || "none"

/** Erases a customer, and says what was done in numbers. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const accounts = yield* waiting("looking for the customer", () => accountsFor(options))
    const asks = !options.yes && process.stdin.isTTY === true
    if (asks && !(yield* isMeant(accounts))) return yield* say(NOTHING_ERASED)
    const erasures = yield* waiting("erasing", () =>
      Effect.forEach(accounts, account => App.eraseCustomer(options.customer, account)),
    )
    if (options.json) return yield* printJson(erasures)
    for (const { account, deleted, stripped, rejects } of erasures) {
      yield* print(
        `${account}: erased. Rows deleted: ${counted(deleted)}; rejects: ${rejects}.` +
          ` Records that stay without their personal fields: ${counted(stripped)}.`,
      )
    }
    yield* say(
      "Not reached: backups, replicas and logs of Postgres. After restoring a backup from before now, erase again.",
    )
  }).pipe(Effect.provide(App.configuredWarehouse))

import { Effect } from "effect"
import * as App from "../App.ts"
import { print, printJson, table } from "./output.ts"

const COLUMNS = [
  "account",
  "stream",
  "last run",
  "last complete",
  "rows",
  "rejects",
  "removed",
  "path",
  "running",
  "error",
]

interface Options {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly json: boolean
}

/** Prints how each stream of each account stands. */
export const run = (options: Options) =>
  Effect.gen(function* () {
    const statuses = yield* App.status({ accounts: options.account, streams: options.stream })
    if (options.json) return yield* printJson(statuses)
    if (statuses.length === 0) return yield* print("Nothing was synced yet: run `paycombat-sync sync`.")
    const rows = statuses.map(status => [
      status.account,
      status.stream,
      status.lastRunStatus,
      status.lastCompleteAt?.replace(/\.\d+/, "") ?? null,
      String(status.rows),
      String(status.rejects),
      String(status.removed),
      status.isVerified === false ? `${status.path} (unverified)` : status.path,
      status.heldBy,
      status.error,
    ])
    yield* print(table({ columns: COLUMNS, rows }))
  }).pipe(Effect.provide(App.configuredWarehouse))

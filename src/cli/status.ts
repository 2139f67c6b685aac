import * as Command from "@effect/cli/Command"
import { Console, Effect } from "effect"
import * as App from "../App.ts"
import { accountOption, jsonOption, printJson, streamOption, table } from "./output.ts"

const columns = [
  "account",
  "stream",
  "last run",
  "last complete",
  "rows",
  "rejects",
  "removed",
  "running",
  "error",
]

export const status = Command.make(
  "status",
  { account: accountOption, stream: streamOption, json: jsonOption },
  options =>
    Effect.gen(function* () {
      const statuses = yield* App.status({ accounts: options.account, streams: options.stream })
      if (options.json) return yield* printJson(statuses)
      if (statuses.length === 0)
        return yield* Console.log("Nothing was synced yet: run `paycombat-sync sync`.")
      const rows = statuses.map(status => [
        status.account,
        status.stream,
        status.lastRunStatus,
        status.lastCompleteAt,
        String(status.rows),
        String(status.rejects),
        String(status.removed),
        status.heldBy,
        status.error,
      ])
      yield* Console.log(table({ columns, rows }))
    }).pipe(Effect.provide(App.configuredWarehouse)),
).pipe(
  Command.withDescription("Last run, freshness, rows, rejects and removed records per account and stream."),
)

import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { daemonLogging } from "../terminal/logging.ts"
import { onDemand } from "./onDemand.ts"
import { account, maxAge, stream } from "./shared.ts"

export const serve = Command.make(
  "serve",
  {
    account,
    stream,
    maxAge,
    migrate: Options.boolean("migrate").pipe(
      Options.withDescription("Bring the database of DATABASE_URL up to date first."),
    ),
  },
  onDemand(() => import("../run/serve.ts"), { logged: daemonLogging }),
).pipe(
  Command.withDescription(
    "Stays up and syncs on a schedule: new records by PAYCOMBAT_SCHEDULE (every 15 minutes), every list in full by" +
      " PAYCOMBAT_FULL_SCHEDULE (at 2), both in PAYCOMBAT_TIMEZONE (UTC). It starts with a run if the latest complete run" +
      " is older than the time between two ticks. Each account has at most one run at a time, and no account waits for" +
      " another. A tick during the account's run is dropped and counted. A full tick during an incremental run is put off" +
      " until right after it. After the machine slept, the latest missed tick is made up for. A time that a change of" +
      " the clocks skips is skipped. A failed run does not end the process. PAYCOMBAT_READY_MAX_CALLS defaults to the" +
      " calls that fit before the next tick: the account's rate × seconds × 0.8." +
      " HTTP on PAYCOMBAT_HTTP_HOST:PAYCOMBAT_HTTP_PORT (127.0.0.1:8787): / (status page), /healthz, /readyz, /metrics," +
      " /status.json. On SIGTERM or Ctrl-C the current batch is committed, and the next run continues from there.",
  ),
)

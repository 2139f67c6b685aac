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
    "Stays up and syncs on a schedule: what is new by PAYCOMBAT_SCHEDULE (every 15 minutes), every list whole by" +
      " PAYCOMBAT_FULL_SCHEDULE (at 2), both in PAYCOMBAT_TIMEZONE (UTC). It begins with a run where the latest" +
      " complete one is older than from one tick to the next. One run at a time of each account, and no account waits for" +
      " another: a tick that comes during its run is dropped and counted, a full one comes right after the run, unless" +
      " that read every list whole; a machine that slept makes up for the latest. A time that a change of the clocks leaves out is left out." +
      " A run that fails does not end it. PAYCOMBAT_READY_MAX_CALLS is, unless set, what fits before the next tick:" +
      " the account's rate × seconds × 0.8." +
      " On PAYCOMBAT_HTTP_HOST:PAYCOMBAT_HTTP_PORT (127.0.0.1:8787): / (status page), /healthz, /readyz, /metrics," +
      " /status.json. SIGTERM or Ctrl-C: what is under way is committed, and the next run goes on from there.",
  ),
)

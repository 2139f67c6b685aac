import * as Command from "@effect/cli/Command"
import { onDemand } from "./onDemand.ts"
import { account, json, stream } from "./shared.ts"

export const doctor = Command.make(
  "doctor",
  { account, stream, json },
  onDemand(() => import("../run/doctor.ts")),
).pipe(
  Command.withDescription(
    "Examines the settings, the database, the API and each stream at the API: how its list is read, how a" +
      " sample of its records differs from what is documented, and how amounts, fees and net amounts relate. Each line" +
      " says pass, warn or fail, and what to do. Sends only GET within PAYCOMBAT_RATE_PER_SECOND, and sends nothing for" +
      " an account that a sync holds. Stores nothing. Starts an existing embedded Postgres, and never creates one. Shows no value of a" +
      " record except codes. Exits with 1 if a check fails, and with 2 if the settings" +
      " are wrong. To try it without a token, run `paycombat-sync sandbox` and set the variables that it prints.",
  ),
)

import * as Command from "@effect/cli/Command"
import { onDemand } from "./onDemand.ts"
import { account, json, stream } from "./shared.ts"

export const doctor = Command.make(
  "doctor",
  { account, stream, json },
  onDemand(() => import("../run/doctor.ts")),
).pipe(
  Command.withDescription(
    "Examines the settings, the database, the API and each stream as the API serves it: how its list is read, how a" +
      " sample of its records differs from what is documented, and how amounts, fees and net amounts relate. Each line" +
      " says pass, warn or fail, and what to do. Sends only GET, within PAYCOMBAT_RATE_PER_SECOND, and" +
      " asks no account that a sync holds; stores nothing: an embedded Postgres that is there already is started, and none is made. Shows no value of a" +
      " record but codes. Exits with 1 where something fails, 2 where the settings" +
      " are wrong. To try it without a token: `paycombat-sync sandbox` says what to set.",
  ),
)

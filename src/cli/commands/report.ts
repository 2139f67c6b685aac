import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { onDemand } from "./onDemand.ts"
import { account, file, json, maxAge } from "./shared.ts"

const day = (name: "from" | "to", description: string) =>
  Options.text(name).pipe(Options.optional, Options.withDescription(description))

export const report = Command.make(
  "report",
  {
    file: file.pipe(
      Args.withDescription(
        "Where to; - is stdout. paycombat-report-DATE.html (.json; for csv a directory) where there is none. One that is there already is replaced.",
      ),
      Args.optional,
    ),
    format: Options.choice("format", ["html", "csv", "json"]).pipe(
      Options.withDescription(
        "html: one page that needs nothing beside it. json: the same figures as text with every digit, and every list whole. csv: a file of each view in a directory. Where absent, the file's ending decides, else html.",
      ),
      Options.optional,
    ),
    from: day(
      "from",
      "First day, as 2026-01-31 (UTC): 90 days up to the last one; for csv from the beginning.",
    ),
    to: day("to", "Last day, as 2026-01-31 (UTC): today."),
    account,
    currency: Options.text("currency").pipe(
      Options.withDescription("Only amounts in this currency (repeatable)."),
      Options.repeated,
    ),
    maxAge: maxAge.pipe(
      Options.withDescription(
        'How old the latest complete run may be before the report calls its figures stale, such as "26 hours"; not for csv. Without it: as `status` has it, twice the time between two ticks of PAYCOMBAT_SCHEDULE, and at least an hour.',
      ),
    ),
    demo: Options.boolean("demo").pipe(Options.withDescription("Of the demo's database.")),
    json: json.pipe(Options.withDescription("Print JSON: --format json to stdout, unless a file is named.")),
  },
  onDemand(() => import("../run/report.ts")),
).pipe(
  Command.withDescription(
    "Writes the settlement, balance and KYC-gap report, as a login that can read analytics and nothing else: figures of one moment, with their freshness on top. Customers appear by id, never by name. In csv, text that a spreadsheet would take for a formula gets an apostrophe in front.",
  ),
)

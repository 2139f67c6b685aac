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
        "File to write, or - for stdout. Default: paycombat-report-DATE.html (.json; for csv a directory). An existing file is replaced.",
      ),
      Args.optional,
    ),
    format: Options.choice("format", ["html", "csv", "json"]).pipe(
      Options.withDescription(
        "html: one self-contained page. json: the same figures as text with every digit, and every list in full. csv: one file per view in a directory. Default: by the file's ending, else html.",
      ),
      Options.optional,
    ),
    from: day(
      "from",
      "First day, such as 2026-01-31, in the account's reporting time zone. Default: 90 days up to the last day; for csv, no limit.",
    ),
    to: day("to", "Last day, such as 2026-01-31, in the same zone. Default: today."),
    account,
    currency: Options.text("currency").pipe(
      Options.withDescription("Only amounts in this currency (repeatable)."),
      Options.repeated,
    ),
    maxAge: maxAge.pipe(
      Options.withDescription(
        'Age of the latest complete run from which figures are stale, such as "26 hours"; not for csv. Default: as in `status`, twice the time between two ticks of PAYCOMBAT_SCHEDULE, and at least an hour.',
      ),
    ),
    demo: Options.boolean("demo").pipe(Options.withDescription("Report on the demo's database.")),
    json: json.pipe(
      Options.withDescription("Print JSON: short for --format json, to stdout unless a file is named."),
    ),
  },
  onDemand(() => import("../run/report.ts")),
).pipe(
  Command.withDescription(
    "Writes the settlement, balance and KYC-gap report, as a login that can only read analytics. All figures are from one snapshot, and their freshness is at the top. Customers appear by id, never by name. In csv, an apostrophe precedes text that a spreadsheet would run as a formula.",
  ),
)

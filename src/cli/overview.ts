import { VERSION } from "../core/version.ts"

/** The overview for newcomers. The parser's own would list every option of every command. */
const OVERVIEW = `paycombat-sync ${VERSION}
Keeps a merchant's PayCombat data in Postgres, ready for SQL, BI and compliance reports.

  demo       the product in one command: simulated API, embedded Postgres, one sync, three answers
  sync       one pass over all streams of all accounts
  serve      stays up: syncs on a schedule, with a status page, health and metrics over HTTP
  status     can the figures be trusted now? The verdict per account and stream
  doctor     examines settings, database and API, and how real records differ from the documented ones
  query      runs one SQL statement on the views of analytics
  report     writes settlements, balances and KYC gaps as HTML, CSV or JSON
  migrate    brings the database up to date
  rejects    records that could not become a row: list, show, replay
  rebuild    normalizes the stored raw records again, without any API call
  directions shows and sets what transactions do to balances
  erase      removes a customer's data for good; later syncs do not bring it back
  database   keeps the embedded Postgres up for psql and BI tools; backup and restore
  sandbox    serves a simulated PayCombat API

For more, run paycombat-sync <command> --help. Settings are environment variables: see .env.example.
Before any command: --log-level debug|info|warning|error. Also: --version, --completions bash|fish|zsh.`

/** Answers a command line about the program as a whole; returns undefined for all others. Loads no library. */
export const overviewFor = (words: ReadonlyArray<string>): string | undefined => {
  const line = words.join(" ")
  if (line === "--version") return VERSION
  return ["", "--help", "-h"].includes(line) ? OVERVIEW : undefined
}

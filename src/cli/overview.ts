import { VERSION } from "../core/version.ts"

/** The first page that a newcomer reads. The parser's own would list every option of every command. */
const OVERVIEW = `paycombat-sync ${VERSION}
Keeps a merchant's PayCombat data in Postgres, ready for SQL, BI and compliance reports.

  demo       the product in one command: simulated API, embedded Postgres, one sync, three answers
  sync       one pass over all streams of all accounts
  serve      stays up: syncs on a schedule, with a status page, health and metrics over HTTP
  status     whether the figures can be trusted now, per account and stream
  doctor     examines settings, database and API, and how real records differ from the documented ones
  query      answers one SQL statement on the views of analytics
  report     writes settlements, balances and KYC gaps as HTML, CSV or JSON
  migrate    brings the database up to date
  rejects    records that could not become a row: list, show, replay
  rebuild    normalizes again from the stored raw records, without one API call
  erase      removes a customer's data for good; later syncs do not bring it back
  database   keeps the embedded Postgres up for psql and BI tools; backup and restore
  sandbox    serves a simulated PayCombat API

paycombat-sync <command> --help says more. Settings are environment variables: see .env.example.
Before any command: --log-level debug|info|warning|error. Also: --version, --completions bash|fish|zsh.`

/** The answer to a command line that asks about the program as a whole; undefined for all others. Loads no library. */
export const overviewFor = (words: ReadonlyArray<string>): string | undefined => {
  const asked = words.join(" ")
  if (asked === "--version") return VERSION
  return ["", "--help", "-h"].includes(asked) ? OVERVIEW : undefined
}

import { Effect } from "effect"
import * as App from "../../app.ts"
import { print, printJson, say, table } from "../terminal/output.ts"
import { visible, visibleJson } from "../terminal/visible.ts"
import { intoStdout } from "./reportFiles.ts"
import { printSummary, setExitCode, withProgress } from "./sync.ts"

interface RejectFilter {
  readonly account: ReadonlyArray<string>
  readonly stream: ReadonlyArray<string>
  readonly all: boolean
  readonly json: boolean
}

interface ListOptions extends RejectFilter {
  readonly kind: ReadonlyArray<App.RejectKind>
}

const COLUMNS = [
  "id",
  "account",
  "stream",
  "kind",
  "record",
  "field",
  "reason",
  "first seen",
  "last read",
  "state",
]

/** Hint for a user who looks for failed look-ups here. They are not rejects. */
const LOOKUPS = "A failed check of wallet readiness is no reject: see check_error in analytics.kyc_gap."

const toSeconds = (time: string) => time.replace(/\.\d+/, "")

/** Joins batches into one JSON array, in the format of `printJson`. */
async function* arrayOf(batches: AsyncIterable<ReadonlyArray<unknown>>) {
  let between = "["
  for await (const batch of batches) {
    yield between + visibleJson(JSON.stringify(batch, null, 2).slice(1, -2))
    between = ","
  }
  yield between === "[" ? "[]\n" : "\n]\n"
}

export const list = ({ account, stream, kind, all, json }: ListOptions) =>
  Effect.gen(function* () {
    const query = { accounts: account, streams: stream, kinds: kind, all }
    if (json) return yield* App.everyReject(query, batches => intoStdout(arrayOf(batches)))
    const { rejects, total } = yield* App.rejects(query)
    if (rejects.length < total)
      yield* say(
        `The newest ${rejects.length} of ${total} are shown: narrow with --account, --stream and --kind; --json prints all.`,
      )
    if (total === 0) {
      const none = all ? "There are no rejects." : "There are no open rejects."
      return yield* print(stream.includes("wallet_readiness") ? `${none} ${LOOKUPS}` : none)
    }
    const rows = rejects.map(reject => [
      String(reject.id),
      reject.account,
      reject.stream,
      reject.kind,
      reject.recordId,
      reject.field,
      reject.reason,
      toSeconds(reject.firstSeenAt),
      toSeconds(reject.readAt),
      reject.unlistedAt === null ? "open" : "no longer listed",
    ])
    yield* print(table({ columns: COLUMNS, rows }))
  }).pipe(Effect.provide(App.configuredExisting))

export const show = ({ id, json }: { readonly id: number; readonly json: boolean }) =>
  Effect.gen(function* () {
    const reject = yield* App.reject(id)
    if (json) return yield* printJson(reject)
    const facts: ReadonlyArray<readonly [string, string | null]> = [
      ["id", String(reject.id)],
      ["account", reject.account],
      ["stream", reject.stream],
      ["kind", reject.kind],
      ["record", reject.recordId],
      ["field", reject.field],
      ["reason", reject.reason],
      ["first seen", reject.firstSeenAt],
      ["last read", reject.readAt],
      ["last run", reject.runId],
      ["state", reject.unlistedAt === null ? "open" : `no longer listed since ${reject.unlistedAt}`],
    ]
    const lines = facts.map(([name, value]) => `${`${name}:`.padEnd(12)}${visible(value ?? "-")}`)
    yield* print([...lines, "", reject.raw].join("\n"))
  }).pipe(Effect.provide(App.configuredExisting))

interface ReplayOptions extends RejectFilter {
  readonly ids: ReadonlyArray<number>
  readonly strict: boolean
}

export const replay = ({ account, stream, all, ids, strict, json }: ReplayOptions) =>
  Effect.gen(function* () {
    const work = App.replay({ accounts: account, streams: stream, all, ids }).pipe(
      Effect.provide(App.configuredExisting),
    )
    const summary = yield* withProgress(work, json)
    if (summary === undefined)
      return yield* json ? printJson(null) : print("There are no open rejects to replay.")
    yield* json ? printJson(summary) : printSummary(summary)
    yield* setExitCode(summary, strict)
  })

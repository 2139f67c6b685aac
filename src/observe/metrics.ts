import { Effect, Metric, MetricBoundaries, MetricLabel } from "effect"
import { VERSION } from "../core/version.ts"

/** Defines every metric with its labels. Counters start at zero when the process starts. */

export const PREFIX = "paycombat_sync_"

const counter = (name: string, description: string) =>
  Metric.counter(`${PREFIX}${name}`, { description, incremental: true })
const gauge = (name: string, description: string) => Metric.gauge(`${PREFIX}${name}`, { description })

/** Bucket bounds in seconds, from an incremental run of a small account to a first pass over millions of records. */
const RUN_SECONDS = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200]

export const runs = counter("runs_total", "Runs that ended, by status.")
export const runSeconds = Metric.histogram(
  `${PREFIX}run_duration_seconds`,
  MetricBoundaries.fromIterable(RUN_SECONDS),
  "How long runs took.",
)
export const streamRuns = counter("stream_runs_total", "Stream runs that ended, by mode and status.")
export const rows = counter("rows_total", "Records read, by outcome. A record counts once it is stored.")
export const removed = counter("removed_total", "Records marked as removed.")
export const requests = counter(
  "requests_total",
  "Requests sent to the API, by HTTP status. none: no answer; other: a status that is not registered.",
)
export const retries = counter(
  "retries_total",
  "Requests that were sent again, by the status of the failed attempt, as in requests_total.",
)
export const droppedTicks = counter(
  "dropped_ticks_total",
  "Ticks dropped because a run of the account was in progress.",
)
export const leftOver = gauge(
  "left_over",
  "Look-ups that the latest run did not reach. The next run makes them first.",
)
export const unanswered = gauge("unanswered", "Look-ups of the latest run that got no answer.")
export const openRejects = gauge("open_rejects", "Records that could not become a row and are still listed.")
export const lag = gauge("lag_seconds", "Time since the latest complete run ended; absent if there was none.")
export const leaseHeld = gauge(
  "lease_held",
  "1 while a run of this or another process holds the stream's lease, else 0.",
)
export const nextTick = gauge("next_tick_timestamp_seconds", "Unix time of a schedule's next tick.")
export const running = gauge("running", "1 while this process runs a sync of the account, else 0.")
export const ready = gauge("ready", "1 while /readyz reports ready, else 0.")
export const databaseUp = gauge("database_up", "1 if the database answers and is at this version, else 0.")
export const verdict = gauge(
  "verdict",
  "The verdict on the account's figures: 0 good, 1 attention (exceptions), 2 bad. 2 while the database cannot be used.",
)
export const failingChecks = gauge(
  "failing_checks",
  "Equations of ledger_check that differ: an assumption of the figures does not hold.",
)
export const problems = gauge("problems", "Streams whose figures cannot be trusted now.")
const buildInfo = gauge("build_info", "Always 1; the version is in the label.")

/** Value of the gauge `verdict` at each level. */
export const LEVELS = { good: 0, attention: 1, bad: 2 } as const

/** Value of a gauge whose current value is unknown. Exporters leave it out. */
export const UNKNOWN = Number.NaN

export const labelled = <Type, In, Out>(
  metric: Metric.Metric<Type, In, Out>,
  labels: Readonly<Record<string, string>>,
): Metric.Metric<Type, In, Out> =>
  Metric.taggedWithLabels(
    metric,
    Object.entries(labels).map(([key, value]) => MetricLabel.make(key, value)),
  )

/** Sets the counters of the warehouse and the scheduler to zero, so that a rate includes the first event. */
export const begin = (accounts: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* Metric.set(labelled(buildInfo, { version: VERSION }), 1)
    for (const account of accounts)
      for (const schedule of ["incremental", "full"])
        yield* Metric.incrementBy(labelled(droppedTicks, { account, schedule }), 0)
    for (const status of ["complete", "complete_with_rejects", "failed", "interrupted"])
      yield* Metric.incrementBy(labelled(runs, { status }), 0)
  })

/** Registered statuses, and those that common proxies use if the API is unreachable. */
const STATUS = /^(10[0-3]|20[0-8]|226|30[0-8]|40\d|41[0-8]|42[1-689]|431|451|50\d|51[01]|52[0-7]|530)$/

/** Labels a status. Unregistered ones share a label, because a time series never goes away. */
const statusLabel = (status: number | undefined): string => {
  if (status === undefined) return "none"
  return STATUS.test(String(status)) ? String(status) : "other"
}

export const countRequest = (account: string, status: number | undefined): Effect.Effect<void> =>
  Metric.increment(labelled(requests, { account, status: statusLabel(status) }))

/** Counts a request that is sent again; `status` is the status of the failed attempt. */
export const countRetry = (account: string, status: number | undefined): Effect.Effect<void> =>
  Metric.increment(labelled(retries, { account, status: statusLabel(status) }))

const OUTCOMES = ["inserted", "updated", "unchanged", "stale", "rejected", "unanswered", "erased"] as const

type Outcome = (typeof OUTCOMES)[number]

type Rows = Partial<Readonly<Record<Outcome, number>>>

/** The lease under which a stream's rows are written. Counts of a run are stored by the identity of this object. */
interface StreamLease {
  readonly account: string
  readonly stream: string
}

/** The counts of a finished run, as the ledger has them. Times are ISO 8601. */
interface EndedRun {
  readonly status: string
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly streams: ReadonlyArray<
    StreamLease &
      Readonly<Record<Outcome, number>> & {
        readonly mode: string
        readonly status: string
        readonly removed: number
      }
  >
}

/** Rows counted so far, per stream run. An entry disappears with its lease. */
const countedOf = new WeakMap<StreamLease, Rows>()

/** Counts the outcomes of a committed batch. */
export const countRows = (lease: StreamLease, batch: Rows): Effect.Effect<void> =>
  Effect.gen(function* () {
    const before = countedOf.get(lease) ?? {}
    const sum = (outcome: Outcome) => (before[outcome] ?? 0) + (batch[outcome] ?? 0)
    countedOf.set(lease, Object.fromEntries(OUTCOMES.map(outcome => [outcome, sum(outcome)])))
    const labels = { account: lease.account, stream: lease.stream }
    for (const outcome of OUTCOMES)
      yield* Metric.incrementBy(labelled(rows, { ...labels, outcome }), batch[outcome] ?? 0)
  }).pipe(Effect.uninterruptible)

/** Counts a finished run, and rows that `countRows` missed: after a lost answer only the ledger knows them. */
export const countRun = (summary: EndedRun, leases: ReadonlyArray<StreamLease>): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* Metric.increment(labelled(runs, { status: summary.status }))
    if (summary.finishedAt !== null)
      yield* Metric.update(
        runSeconds,
        (new Date(summary.finishedAt).getTime() - new Date(summary.startedAt).getTime()) / 1000,
      )
    for (const stream of summary.streams) {
      const labels = { account: stream.account, stream: stream.stream }
      yield* Metric.increment(labelled(streamRuns, { ...labels, mode: stream.mode, status: stream.status }))
      const lease = leases.find(one => one.account === stream.account && one.stream === stream.stream)
      const rowsSoFar = lease === undefined ? {} : (countedOf.get(lease) ?? {})
      for (const outcome of OUTCOMES)
        yield* Metric.incrementBy(
          labelled(rows, { ...labels, outcome }),
          Math.max(0, stream[outcome] - (rowsSoFar[outcome] ?? 0)),
        )
      yield* Metric.incrementBy(labelled(removed, labels), stream.removed)
    }
  })

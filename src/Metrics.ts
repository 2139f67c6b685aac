import { Effect, Metric, MetricBoundaries, MetricLabel } from "effect"
import { VERSION } from "./version.ts"
import type { RunSummary } from "./warehouse/Summary.ts"

/** Every metric there is, with its labels. Counters count since the process started. */

export const PREFIX = "paycombat_sync_"

const counter = (name: string, description: string) =>
  Metric.counter(`${PREFIX}${name}`, { description, incremental: true })
const gauge = (name: string, description: string) => Metric.gauge(`${PREFIX}${name}`, { description })

/** Seconds: from an incremental run of a small account to a first pass over millions of records. */
const RUN_SECONDS = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200]

export const runs = counter("runs_total", "Runs that ended, by status.")
export const runSeconds = Metric.histogram(
  `${PREFIX}run_duration_seconds`,
  MetricBoundaries.fromIterable(RUN_SECONDS),
  "How long runs took.",
)
export const streamRuns = counter("stream_runs_total", "Stream runs that ended, by mode and status.")
export const rows = counter("rows_total", "Records read, by what became of them.")
export const removed = counter("removed_total", "Records booked as removed.")
export const requests = counter(
  "requests_total",
  "Requests sent to the API, by class of the answer's status; none: there was no answer.",
)
export const retries = counter("retries_total", "Requests that were sent again.")
export const droppedTicks = counter(
  "dropped_ticks_total",
  "Ticks that came while a run was under way, and were not made up for.",
)
export const leftOver = gauge(
  "left_over",
  "Look-ups that the latest run had no time for; they come first next time.",
)
export const openRejects = gauge(
  "open_rejects",
  "Records that could not become a row, and that the list still shows.",
)
export const lag = gauge(
  "lag_seconds",
  "Time since the latest complete run ended; absent where there was none.",
)
export const leaseHeld = gauge(
  "lease_held",
  "Whether a run holds the stream's lease, this process' or another's.",
)
export const nextTick = gauge(
  "next_tick_timestamp_seconds",
  "When the next tick of a schedule is due, as Unix time.",
)
export const running = gauge("running", "Whether this process is in a run.")
export const ready = gauge("ready", "Whether /readyz says so.")
export const databaseUp = gauge("database_up", "Whether the database answered.")
export const problems = gauge("problems", "Streams whose figures are not to be trusted now.")
const buildInfo = gauge("build_info", "Always 1; the version is in the label.")

/** A metric with values for its labels. */
export const labelled = <Type, In, Out>(
  metric: Metric.Metric<Type, In, Out>,
  labels: Readonly<Record<string, string>>,
): Metric.Metric<Type, In, Out> =>
  Metric.taggedWithLabels(
    metric,
    Object.entries(labels).map(([key, value]) => MetricLabel.make(key, value)),
  )

/** What the warehouse's and the scheduler's figures start from, so that a rate can be taken of the first event, too. */
export const begin: Effect.Effect<void> = Effect.gen(function* () {
  yield* Metric.set(labelled(buildInfo, { version: VERSION }), 1)
  yield* Metric.incrementBy(labelled(droppedTicks, { schedule: "incremental" }), 0)
  yield* Metric.incrementBy(labelled(droppedTicks, { schedule: "full" }), 0)
  for (const status of ["complete", "complete_with_rejects", "failed", "interrupted"])
    yield* Metric.incrementBy(labelled(runs, { status }), 0)
})

/** Counts one attempt to ask the API. */
export const countRequest = (account: string, status: number | undefined): Effect.Effect<void> =>
  Metric.increment(
    labelled(requests, {
      account,
      class: status === undefined ? "none" : `${Math.floor(status / 100)}xx`,
    }),
  )

const OUTCOMES = ["inserted", "updated", "unchanged", "stale", "rejected", "erased"] as const

/** Counts what a run that ended came to. */
export const countRun = (summary: RunSummary): Effect.Effect<void> =>
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
      for (const outcome of OUTCOMES)
        yield* Metric.incrementBy(labelled(rows, { ...labels, outcome }), stream[outcome])
      yield* Metric.incrementBy(labelled(removed, labels), stream.removed)
      yield* Metric.incrementBy(labelled(retries, labels), stream.retries)
    }
  })

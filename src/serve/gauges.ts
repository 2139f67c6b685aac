import { Effect, Metric } from "effect"
import * as Metrics from "../observe/metrics.ts"
import { KINDS } from "../status/scheduler.ts"
import { type Snapshot, snapshotVerdict } from "./snapshot.ts"

/** Sets the gauges that describe the current moment. */

const flag = (metric: typeof Metrics.ready, isSet: boolean) => Metric.set(metric, isSet ? 1 : 0)

/** Sets the gauges. Unless `isCurrent`, ages keep growing, and values that only the database knows are left out. */
export const setGauges = (snapshot: Snapshot, isReady: boolean, isCurrent: boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    const ifCurrent = (value: number) => (isCurrent ? value : Metrics.UNKNOWN)
    yield* flag(Metrics.ready, isReady)
    yield* flag(Metrics.databaseUp, snapshot.databaseProblem === null)
    for (const account of snapshot.accounts) {
      const isRunning = snapshot.running.some(run => run.account === account)
      yield* flag(Metrics.labelled(Metrics.running, { account }), isRunning)
      const level =
        snapshot.databaseProblem === null
          ? snapshot.verdicts.find(verdict => verdict.account === account)?.level
          : snapshotVerdict(snapshot).level
      yield* Metric.set(
        Metrics.labelled(Metrics.verdict, { account }),
        level === undefined ? Metrics.UNKNOWN : Metrics.LEVELS[level],
      )
    }
    for (const account of snapshot.accounts) {
      const verdict = snapshot.verdicts.find(one => one.account === account)
      const failing = verdict?.findings.filter(({ kind }) => kind === "ledger_check").length
      yield* Metric.set(
        Metrics.labelled(Metrics.failingChecks, { account }),
        failing === undefined ? Metrics.UNKNOWN : ifCurrent(failing),
      )
    }
    const problems = snapshot.streams.filter(({ problem }) => problem !== null).length
    yield* Metric.set(Metrics.problems, snapshot.figuresAt === null ? Metrics.UNKNOWN : problems)
    for (const kind of KINDS)
      yield* Metric.set(
        Metrics.labelled(Metrics.nextTick, { schedule: kind }),
        new Date(snapshot.next[kind]).getTime() / 1000,
      )
    for (const { account, stream, status, ageSeconds } of snapshot.streams) {
      const labels = { account, stream }
      const leaseHeld = (status?.heldBy ?? null) === null ? 0 : 1
      yield* Metric.set(Metrics.labelled(Metrics.leaseHeld, labels), ifCurrent(leaseHeld))
      yield* Metric.set(Metrics.labelled(Metrics.openRejects, labels), ifCurrent(status?.rejects ?? 0))
      yield* Metric.set(Metrics.labelled(Metrics.leftOver, labels), ifCurrent(status?.leftOver ?? 0))
      yield* Metric.set(Metrics.labelled(Metrics.unanswered, labels), ifCurrent(status?.unanswered ?? 0))
      yield* Metric.set(Metrics.labelled(Metrics.lag, labels), ageSeconds ?? Metrics.UNKNOWN)
    }
  })

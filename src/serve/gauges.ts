import { Effect, Metric } from "effect"
import * as Metrics from "../observe/metrics.ts"
import { KINDS } from "../status/scheduler.ts"
import { boardVerdict } from "./boardVerdict.ts"
import type { Board } from "./snapshot.ts"

/** What is true of the moment, for whoever collects metrics. */

const flag = (metric: typeof Metrics.ready, isSet: boolean) => Metric.set(metric, isSet ? 1 : 0)

/**
 * Sets the gauges. `isKnown`: the database answered just now. Where it did not, ages go on by the clock, and what only
 * it can know is not told at all, rather than as it was.
 */
export const setGauges = (board: Board, isReady: boolean, isKnown: boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    const known = (value: number) => (isKnown ? value : Metrics.UNKNOWN)
    yield* flag(Metrics.ready, isReady)
    yield* flag(Metrics.databaseUp, board.databaseProblem === null)
    for (const account of board.accounts)
      yield* flag(
        Metrics.labelled(Metrics.running, { account }),
        board.running.some(run => run.account === account),
      )
    for (const account of board.accounts) {
      const level =
        board.databaseProblem === null
          ? board.verdicts.find(verdict => verdict.account === account)?.level
          : boardVerdict(board).level
      yield* Metric.set(
        Metrics.labelled(Metrics.verdict, { account }),
        level === undefined ? Metrics.UNKNOWN : Metrics.LEVELS[level],
      )
    }
    const problems = board.streams.filter(({ problem }) => problem !== null).length
    yield* Metric.set(Metrics.problems, board.figuresAt === null ? Metrics.UNKNOWN : problems)
    for (const kind of KINDS)
      yield* Metric.set(
        Metrics.labelled(Metrics.nextTick, { schedule: kind }),
        new Date(board.next[kind]).getTime() / 1000,
      )
    for (const { account, stream, status, ageSeconds } of board.streams) {
      const labels = { account, stream }
      const held = (status?.heldBy ?? null) === null ? 0 : 1
      yield* Metric.set(Metrics.labelled(Metrics.leaseHeld, labels), known(held))
      yield* Metric.set(Metrics.labelled(Metrics.openRejects, labels), known(status?.rejects ?? 0))
      yield* Metric.set(Metrics.labelled(Metrics.leftOver, labels), known(status?.leftOver ?? 0))
      yield* Metric.set(Metrics.labelled(Metrics.unanswered, labels), known(status?.unanswered ?? 0))
      yield* Metric.set(Metrics.labelled(Metrics.lag, labels), ageSeconds ?? Metrics.UNKNOWN)
    }
  })

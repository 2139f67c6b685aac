import { Effect, Layer, Logger, type Scope } from "effect"
import { createLogUpdate } from "log-update"
import { Progress, type StreamProgress } from "../Progress.ts"

/** Live lines on a terminal, one per stream, drawn anew as streams tell how far they are. */

/** Redraws per second at most. */
const FRAMES_PER_SECOND = 10

const SYMBOL: Readonly<Record<StreamProgress["status"], string>> = {
  waiting: "·",
  running: "▸",
  complete: "✔",
  complete_with_rejects: "!",
  failed: "✖",
  interrupted: "■",
}

const count = new Intl.NumberFormat("en-US")

const line = (told: StreamProgress, startedAt: number, width: number): string => {
  const seconds = Math.max((Date.now() - startedAt) / 1000, 0.001)
  const of = told.total === undefined ? "" : ` of ${count.format(told.total)}`
  const rate = told.status === "running" ? `, ${count.format(Math.round(told.extracted / seconds))}/s` : ""
  const rejected = told.rejected > 0 ? `, ${count.format(told.rejected)} rejected` : ""
  const text =
    `${SYMBOL[told.status]} ${told.account}/${told.stream}`.padEnd(30) +
    `${count.format(told.extracted)}${of} read, ${count.format(told.inserted)} new, ` +
    `${count.format(told.updated)} changed${rejected}${rate}${told.message === null ? "" : `  ${told.message}`}`
  return text.slice(0, width)
}

/** Shows progress live on stderr until the scope closes; log lines are printed above it. */
export const liveProgress: Effect.Effect<Layer.Layer<never>, never, Scope.Scope> = Effect.gen(function* () {
  const lines = new Map<string, { told: StreamProgress; startedAt: number; text: string }>()
  const draw = createLogUpdate(process.stderr)
  const redraw = () => {
    const width = process.stderr.columns ?? 100
    for (const entry of lines.values()) {
      if (entry.told.status === "running") entry.text = line(entry.told, entry.startedAt, width)
    }
    draw(Array.from(lines.values(), ({ text }) => text).join("\n"))
  }
  const timer = setInterval(redraw, 1000 / FRAMES_PER_SECOND)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      clearInterval(timer)
      redraw()
      draw.done()
    }),
  )
  const tell = (told: StreamProgress) =>
    Effect.sync(() => {
      const key = `${told.account}/${told.stream}`
      const startedAt = lines.get(key)?.startedAt ?? Date.now()
      lines.set(key, { told, startedAt, text: line(told, startedAt, process.stderr.columns ?? 100) })
    })
  const logger = Logger.map(Logger.logfmtLogger, text => {
    draw.clear()
    process.stderr.write(`${text}\n`)
    redraw()
  })
  return Layer.merge(Layer.succeed(Progress, { tell }), Logger.replace(Logger.defaultLogger, logger))
})

import { Effect, Layer, Logger, type Scope } from "effect"
import { createLogUpdate } from "log-update"
import { grouped } from "../../core/words.ts"
import { Progress, type StreamProgress } from "../../observe/progress.ts"
import { lineLogger, loggedBy } from "./logging.ts"
import { visible } from "./visible.ts"

/** Draws live progress on a terminal, one line per stream. */

const FRAMES_PER_SECOND = 10
/** Width in columns if the terminal does not report one. */
const DEFAULT_WIDTH = 100

const SYMBOL: Readonly<Record<StreamProgress["status"], string>> = {
  waiting: "·",
  running: "▸",
  complete: "✔",
  complete_with_rejects: "!",
  failed: "✖",
  interrupted: "■",
}

interface Line {
  readonly progress: StreamProgress
  readonly startedAt: number
  /** Set when the stream has ended. Its line does not change afterwards. */
  readonly endedAt: number | undefined
}

const nameOf = ({ progress }: Line) => visible(`${progress.account}/${progress.stream}`)

const textOf = (line: Line, nameWidth: number, width: number): string => {
  const { progress, startedAt, endedAt } = line
  const seconds = Math.max(((endedAt ?? Date.now()) - startedAt) / 1000, 0.001)
  const parts = [
    `${grouped.format(progress.extracted)}${progress.total === undefined ? "" : ` of ${grouped.format(progress.total)}`} read`,
    `${grouped.format(progress.inserted)} new`,
    `${grouped.format(progress.updated)} changed`,
    ...(progress.rejected > 0 ? [`${grouped.format(progress.rejected)} rejected`] : []),
    ...(progress.unanswered > 0 ? [`${grouped.format(progress.unanswered)} unanswered`] : []),
    `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`,
    ...(endedAt === undefined ? [`${grouped.format(Math.round(progress.extracted / seconds))}/s`] : []),
  ]
  const state = progress.status === "waiting" ? "waits for the streams before it" : parts.join(", ")
  const text = `${SYMBOL[progress.status]} ${nameOf(line).padEnd(nameWidth)}  ${state}`
  const whole = progress.message === null ? text : `${text}  ${visible(progress.message)}`
  // One column stays free, because some terminals wrap a line that fills the last one.
  return whole.length < width ? whole : `${whole.slice(0, Math.max(width - 2, 0))}…`
}

/** Shows progress live on stderr until the scope closes. Log lines are printed above it. */
export const liveProgress: Effect.Effect<Layer.Layer<never>, never, Scope.Scope> = Effect.gen(function* () {
  const lines = new Map<string, Line>()
  const draw = createLogUpdate(process.stderr)
  const redraw = () => {
    const width = process.stderr.columns || DEFAULT_WIDTH
    const drawn = [...lines.values()]
    const nameWidth = Math.max(...drawn.map(line => nameOf(line).length))
    draw(drawn.map(line => textOf(line, nameWidth, width)).join("\n"))
  }
  const timer = setInterval(redraw, 1000 / FRAMES_PER_SECOND)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      clearInterval(timer)
      redraw()
      draw.done()
    }),
  )
  const tell = (progress: StreamProgress) =>
    Effect.sync(() => {
      const key = JSON.stringify([progress.account, progress.stream])
      const line = lines.get(key)
      const now = Date.now()
      const isUnder = progress.status === "running" || progress.status === "waiting"
      lines.set(key, {
        progress,
        startedAt: line === undefined || line.progress.status === "waiting" ? now : line.startedAt,
        endedAt: isUnder ? undefined : now,
      })
    })
  const logger = Logger.map(lineLogger, text => draw.persist(text))
  return Layer.merge(Layer.succeed(Progress, { tell }), loggedBy(logger))
})

import { Effect, Layer, Logger, type Scope } from "effect"
import { createLogUpdate } from "log-update"
import { Progress, type StreamProgress } from "../../observe/progress.ts"
import { lineLogger, loggedBy } from "./logging.ts"
import { visible } from "./visible.ts"

/** Live lines on a terminal, one per stream, drawn anew as streams tell how far they are. */

/** Redraws per second at most. */
const FRAMES_PER_SECOND = 10
/** Where the terminal does not say how wide it is. */
const DEFAULT_WIDTH = 100

const SYMBOL: Readonly<Record<StreamProgress["status"], string>> = {
  waiting: "·",
  running: "▸",
  complete: "✔",
  complete_with_rejects: "!",
  failed: "✖",
  interrupted: "■",
}

const count = new Intl.NumberFormat("en-US")

interface Line {
  readonly told: StreamProgress
  readonly startedAt: number
  /** Set when the stream has ended: from then on its line stands still. */
  readonly endedAt: number | undefined
}

const nameOf = ({ told }: Line) => visible(`${told.account}/${told.stream}`)

const textOf = (line: Line, nameWidth: number, width: number): string => {
  const { told, startedAt, endedAt } = line
  const seconds = Math.max(((endedAt ?? Date.now()) - startedAt) / 1000, 0.001)
  const parts = [
    `${count.format(told.extracted)}${told.total === undefined ? "" : ` of ${count.format(told.total)}`} read`,
    `${count.format(told.inserted)} new`,
    `${count.format(told.updated)} changed`,
    ...(told.rejected > 0 ? [`${count.format(told.rejected)} rejected`] : []),
    ...(told.unanswered > 0 ? [`${count.format(told.unanswered)} unanswered`] : []),
    `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`,
    ...(endedAt === undefined ? [`${count.format(Math.round(told.extracted / seconds))}/s`] : []),
  ]
  const what = told.status === "waiting" ? "waits for the streams before it" : parts.join(", ")
  const text = `${SYMBOL[told.status]} ${nameOf(line).padEnd(nameWidth)}  ${what}`
  const whole = told.message === null ? text : `${text}  ${visible(told.message)}`
  // One column is left free: some terminals wrap a line that fills the last one.
  return whole.length < width ? whole : `${whole.slice(0, Math.max(width - 2, 0))}…`
}

/** Shows progress live on stderr until the scope closes; log lines are printed above it. */
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
  const tell = (told: StreamProgress) =>
    Effect.sync(() => {
      const key = JSON.stringify([told.account, told.stream])
      const known = lines.get(key)
      const now = Date.now()
      const isUnder = told.status === "running" || told.status === "waiting"
      lines.set(key, {
        told,
        startedAt: known === undefined || known.told.status === "waiting" ? now : known.startedAt,
        endedAt: isUnder ? undefined : now,
      })
    })
  const logger = Logger.map(lineLogger, text => draw.persist(text))
  return Layer.merge(Layer.succeed(Progress, { tell }), loggedBy(logger))
})

import { Cause, Effect, FiberRef, HashMap, Inspectable, Layer, Logger, LogLevel } from "effect"
import * as Config from "../../config/config.ts"
import { visible, visibleJson, visibleLines } from "./visible.ts"

/** Logs go to stderr, one line per event: text for people, JSON where a program collects them. Stdout is for what was asked. */

const words = (value: unknown) => (typeof value === "string" ? value : Inspectable.toStringUnknown(value, 0))

const said = (message: unknown) => (Array.isArray(message) ? message : [message]).map(words).join(" ")

/** `2026-01-31T10:00:00.000Z INFO default/payouts: complete …`: when, how grave, what it is about, what happened. */
export const lineLogger = Logger.make<unknown, string>(({ annotations, cause, date, logLevel, message }) => {
  // Which run it was is for programs, that join lines by it.
  const { account, stream, run, ...rest } = Object.fromEntries(HashMap.map(annotations, words))
  const about = [account, stream].filter(name => name !== undefined).join("/")
  const others = Object.entries(rest).map(([name, value]) => ` ${name}=${value}`)
  const why = Cause.isEmpty(cause) ? "" : ` ${visibleLines(Cause.pretty(cause, { renderErrorCause: true }))}`
  const what = `${about === "" ? "" : `${about}: `}${said(message)}${others.join("")}`
  return `${date.toISOString()} ${logLevel.label} ${visible(what)}${why}`
})

/** One JSON object per line: `time`, `level`, `message`, and, where it is about one, `run`, `account`, `stream`. */
export const jsonLogger = Logger.make<unknown, string>(({ annotations, cause, date, logLevel, message }) =>
  visibleJson(
    JSON.stringify({
      time: date.toISOString(),
      level: logLevel.label.toLowerCase(),
      message: said(message),
      ...Object.fromEntries(HashMap.map(annotations, words)),
      ...(Cause.isEmpty(cause) ? {} : { cause: Cause.pretty(cause, { renderErrorCause: true }) }),
    }),
  ),
)

const textLogger = Logger.withConsoleError(lineLogger)

/** Puts another logger in the place of the commands' usual one. */
export const loggedBy = (logger: Logger.Logger<unknown, unknown>): Layer.Layer<never> =>
  Logger.replace(textLogger, logger)

/** What a process that stays up logs: JSON, unless a person looks on. */
export const daemonLogging = process.stderr.isTTY
  ? Layer.empty
  : loggedBy(Logger.withConsoleError(jsonLogger))

/** What the minimum level is until somebody sets one. */
export const UNSET = LogLevel.All

/** The level of `--log-level` where it is given, else that of the environment. */
const level = Effect.gen(function* () {
  const given = yield* FiberRef.get(FiberRef.currentMinimumLogLevel)
  return given === UNSET ? LogLevel.fromLiteral(yield* Config.logLevel) : given
})

export const logging = Layer.merge(
  Logger.replace(Logger.defaultLogger, textLogger),
  Layer.unwrapEffect(Effect.map(level, Logger.minimumLogLevel)),
)

import { Cause, Effect, FiberRef, HashMap, Inspectable, Layer, Logger, LogLevel } from "effect"
import * as Config from "../Config.ts"

/** Logs go to stderr, one line per event, the same on a terminal and elsewhere. Stdout is for what was asked. */

const words = (value: unknown) => (typeof value === "string" ? value : Inspectable.toStringUnknown(value, 0))

/** `2026-01-31T10:00:00.000Z INFO default/payouts: complete …`: when, how grave, what it is about, what happened. */
export const lineLogger = Logger.make<unknown, string>(({ annotations, cause, date, logLevel, message }) => {
  const { account, stream, ...rest } = Object.fromEntries(HashMap.map(annotations, words))
  const about = [account, stream].filter(name => name !== undefined).join("/")
  const text = (Array.isArray(message) ? message : [message]).map(words).join(" ")
  const others = Object.entries(rest).map(([name, value]) => ` ${name}=${value}`)
  const why = Cause.isEmpty(cause) ? "" : ` ${Cause.pretty(cause, { renderErrorCause: true })}`
  return `${date.toISOString()} ${logLevel.label} ${about === "" ? "" : `${about}: `}${text}${others.join("")}${why}`
})

/** What the minimum level is until somebody sets one. */
export const UNSET = LogLevel.All

/** The level of `--log-level` where it is given, else that of the environment. */
const level = Effect.gen(function* () {
  const given = yield* FiberRef.get(FiberRef.currentMinimumLogLevel)
  return given === UNSET ? LogLevel.fromLiteral(yield* Config.logLevel) : given
})

export const logging = Layer.merge(
  Logger.replace(Logger.defaultLogger, Logger.withConsoleError(lineLogger)),
  Layer.unwrapEffect(Effect.map(level, Logger.minimumLogLevel)),
)

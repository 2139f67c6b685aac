import { Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { fileStep } from "../failures.ts"

/** The way out that every message about the embedded Postgres names. */
export const USE_DATABASE_URL =
  "To go on without it, set DATABASE_URL to a Postgres of your own, version 14 or newer."

/** What an unknown error says it is, short enough for a message: its code where it has one. */
export const codeOf = (error: unknown): string => {
  if (error instanceof Error)
    return "code" in error && typeof error.code === "string" ? error.code : error.message
  return String(error)
}

/** Work on files. What fails there is for a person to put right: rights, space, a wrong directory. */
export const onFiles = <A>(doing: string, work: () => Promise<A>): Effect.Effect<A, ConfigurationError> =>
  Effect.tryPromise({
    try: work,
    catch: error => {
      const code = codeOf(error)
      const step = fileStep(code, "directory (PAYCOMBAT_DATA_DIR), or a Postgres of your own (DATABASE_URL)")
      return new ConfigurationError({ message: `Cannot ${doing}: ${code}: ${step}.` })
    },
  })

import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Cause, Effect, Exit, Logger, LogLevel } from "effect"
import { embeddedPostgres } from "../src/postgres/embedded/embeddedPostgres.ts"
import { runRound } from "./soak/round.ts"

/**
 * Runs the program against everything at once, for minutes: a changing API with faults, a Postgres that cuts, loses
 * answers and restarts, kills, signals, freezes, two at once. Each round ends in quiet, with a run that must complete
 * and a warehouse that must be the sandbox's truth. The same seed and round do the same, but for the timing.
 *
 *   npm run test:soak -- --seed 1 --minutes 2
 *   npm run test:soak -- --seed 1 --round 7        that round alone
 */
const { values } = parseArgs({
  options: { seed: { type: "string" }, minutes: { type: "string" }, round: { type: "string" } },
})

const numberOf = (name: "seed" | "minutes" | "round", otherwise: number): number => {
  const number = Number(values[name] ?? otherwise)
  if (Number.isFinite(number) && number >= 0) return number
  console.error(`--${name} ${values[name]} is not a number.`)
  process.exit(2)
}

const seed = numberOf("seed", Math.floor(Date.now() / 1_000) % 1_000_000)
const minutes = numberOf("minutes", 2)
const only = values.round === undefined ? undefined : numberOf("round", 1)
/** Seeds of rounds lie apart, so that two runs with neighbouring seeds do not repeat each other. */
const ROUNDS_PER_SEED = 1_000
/** A round that was begun is ended: what quiet and check take is kept free. */
const QUIET_MILLIS = 20_000

const say = (line: string) => console.log(line)

const soak = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const made = await mkdtemp(join(tmpdir(), "paycombat-soak-"))
      await chmod(made, 0o755)
      return made
    }),
    made => Effect.promise(() => rm(made, { recursive: true, force: true, maxRetries: 5 })),
  )
  const server = yield* embeddedPostgres(directory, {
    settings: { fsync: "off", max_connections: "100" },
    bootstrap: ["ALTER ROLE paycombat CREATEDB"],
  })
  const until = Date.now() + minutes * 60_000 - QUIET_MILLIS
  const failed: Array<number> = []
  let passed = 0
  for (let round = only ?? 1; round === (only ?? 1) || (only === undefined && Date.now() < until); round++) {
    say(`round ${round} (--seed ${seed} --round ${round})`)
    const exit = yield* Effect.exit(
      Effect.scoped(
        runRound(
          {
            server,
            directory,
            seed: seed * ROUNDS_PER_SEED + round,
            until: only === undefined ? until : Number.POSITIVE_INFINITY,
          },
          say,
        ),
      ),
    )
    const wrong = Exit.isSuccess(exit) ? exit.value : [Cause.pretty(exit.cause)]
    for (const line of wrong) say(`  WRONG: ${line}`)
    if (wrong.length === 0) passed += 1
    else failed.push(round)
  }
  say(`seed ${seed}: ${passed} passed, ${failed.length} failed${failed.map(n => ` --round ${n}`).join("")}`)
  return failed.length === 0 ? 0 : 1
}).pipe(Effect.scoped, Logger.withMinimumLogLevel(LogLevel.Error))

process.exitCode = await Effect.runPromise(soak)

import { Effect, type Scope } from "effect"
import type { ConfigurationError } from "../../src/core/errors.ts"
import { type Sandbox, type SandboxOptions, seededFaults, start } from "../../src/sandbox/sandbox.ts"

/** A merchant of a round: random data, and what happens to them while they are read. */

type Random = () => number

const CHANGES_AFTER_MILLIS = 2 * 86_400_000

export const between = (random: Random, from: number, to: number): number =>
  from + Math.floor(random() * (to - from + 1))

const pick = <A>(random: Random, choices: ReadonlyArray<A>): A =>
  choices[between(random, 0, choices.length - 1)]!

export const worldOf = (random: Random, seed: number): Partial<SandboxOptions> => ({
  seed,
  customers: between(random, 3, 60),
  transactions: between(random, 3, 5_000),
  payouts: between(random, 1, 200),
  checkouts: between(random, 1, 120),
  days: between(random, 2, 60),
  maxPageSize: pick(random, [50, 100, 1_000]),
  envelope: pick(random, ["data", "data.data", "double", "data.named"] as const),
  totals: pick(random, ["none", "total", "pagination"] as const),
  pagingNames: pick(random, [["page", "limit"] as const, ["offset", "limit"] as const]),
  order: pick(random, ["oldest-first", "newest-first"] as const),
  longAmounts: random() < 0.3,
})

export const serveWorld = (
  options: Partial<SandboxOptions>,
): Effect.Effect<Sandbox, ConfigurationError, Scope.Scope> => start(options)

/** Faults of HTTP: few enough for a run to have a chance. */
export const disturb = (sandbox: Sandbox, random: Random): void =>
  sandbox.setFault(
    seededFaults(between(random, 1, 1_000_000), {
      "server-error": 0.02,
      unavailable: 0.01,
      truncated: 0.01,
      html: 0.005,
      cut: 0.01,
      reset: 0.01,
      "rate-limit": 0.005,
    }),
  )

/** Later than every record was made or changed before: the youngest have times beyond the end of the simulated time. */
const laterTime = (() => {
  let changes = 0
  return ({ options }: Sandbox): string =>
    new Date(Date.parse(options.until) + CHANGES_AFTER_MILLIS + 1_000 * changes++).toISOString()
})()

/** Changes a merchant's data while a run is under way. */
export const change = (sandbox: Sandbox, random: Random): void => {
  const stream: string = pick(random, sandbox.lists)
  const count = sandbox.truth.count(stream)
  const kind = random()
  if (kind < 0.4 && stream !== "wallets") sandbox.insert(stream, between(random, 1, 5), "back")
  else if (count < 3) return
  else if (kind < 0.85 || stream === "customers" || stream === "wallets") {
    const id = nth(sandbox.truth.ids(stream), between(random, 0, count - 1))
    const index = id === undefined ? undefined : sandbox.indexOf(stream, id)
    if (index !== undefined) sandbox.touch(stream, index, undefined, laterTime(sandbox))
  } else {
    const id = nth(sandbox.truth.ids(stream), between(random, 0, count - 1))
    const index = id === undefined ? undefined : sandbox.indexOf(stream, id)
    if (index !== undefined) sandbox.remove(stream, index)
  }
}

const nth = <A>(all: Iterable<A>, n: number): A | undefined => {
  let i = 0
  for (const one of all) if (i++ === n) return one
  return undefined
}

/** Disturbs the world every now and then, until interrupted. */
export const living = (sandbox: Sandbox, random: Random): Effect.Effect<never> =>
  Effect.suspend(() => {
    change(sandbox, random)
    return Effect.sleep(50 + random() * 400)
  }).pipe(Effect.forever)

/**
 * How long generated tests look for a counter-example. `FUZZ_RUNS` makes each run that often at least, and
 * `FUZZ_SEED` makes all of them begin with that seed. A failure prints its seed and path: put both into the
 * parameters of that `fc.assert` to see it again.
 */

const whole = (name: string): number | undefined => {
  const text = process.env[name]
  if (text === undefined || text === "") return undefined
  if (!/^-?\d{1,10}$/.test(text)) throw new Error(`${name} must be a whole number, not ${text}`)
  return Number(text)
}

/** Limit of a test that names none. */
export const TEST_MILLIS = 60_000
/** Limit of a test for all of its runs, on a slow machine. */
const LIMIT_MILLIS = 240_000
/** Part of that limit after which a test reports what it found. The rest is for what it does before and after. */
const REPORTED_AFTER = 0.75

/** Parameters of `fc.assert`. */
export interface Fuzz {
  readonly numRuns: number
  readonly seed?: number
  readonly interruptAfterTimeLimit: number
  readonly markInterruptAsFailure: true
}

/**
 * Parameters of `fc.assert`: `runs` of them in an ordinary test run. `millis` is the test's limit for so many. A failure
 * is made smaller only within three quarters of that limit, so that the test prints it instead of timing out.
 */
export const fuzz = (runs: number, millis = LIMIT_MILLIS): Fuzz => {
  const seed = whole("FUZZ_SEED")
  return {
    numRuns: Math.max(runs, whole("FUZZ_RUNS") ?? 0),
    interruptAfterTimeLimit: REPORTED_AFTER * fuzzMillis(runs, millis),
    markInterruptAsFailure: true,
    ...(seed === undefined ? {} : { seed }),
  }
}

/** Time-out of a test that takes up to `millis` for `runs` of them, on a slow machine. */
export const fuzzMillis = (runs: number, millis = LIMIT_MILLIS): number =>
  Math.ceil((millis * Math.max(runs, whole("FUZZ_RUNS") ?? 0)) / runs)

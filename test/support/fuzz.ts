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

/** Parameters of `fc.assert`: `runs` of them in an ordinary test run. */
export const fuzz = (runs: number): { readonly numRuns: number; readonly seed?: number } => {
  const seed = whole("FUZZ_SEED")
  const numRuns = Math.max(runs, whole("FUZZ_RUNS") ?? 0)
  return seed === undefined ? { numRuns } : { numRuns, seed }
}

/** Time-out of a test that takes up to `millis` for `runs` of them, on a slow machine. */
export const fuzzMillis = (runs: number, millis = 240_000): number =>
  Math.ceil((millis * fuzz(runs).numRuns) / runs)

import { Effect } from "effect"
import { valuesIn } from "../../core/jsonText.ts"
import { PAGE_BOUNDS } from "./bounds.ts"

/**
 * The memory that pages of lists may take in this process, over all streams and accounts, from being parsed to being
 * written. A page as large as its bounds let it be takes more than a hundred MiB on its way, so streams that read such
 * pages at the same time take turns.
 *
 * A page is weighed when all of it was received, and its share is taken in one step. What holds a share needs no other one
 * to be written, so shares cannot be waited for in a circle.
 */

/** Units that a page as large as its bounds takes. */
export const PAGE_UNITS = 1_000
/** Units of the process: as many as keep a list of 1,000 records a page, which take 190, at full speed. */
const PROCESS_UNITS = 1.5 * PAGE_UNITS

/** The part of the memory that one page has. */
export interface Share {
  readonly units: number
  /** Gives it back. Does nothing the second time. */
  readonly release: Effect.Effect<void>
}

/** The shares of one run of a stream. */
export interface Tab {
  /** Waits for a share, after those who waited before. */
  readonly take: (units: number) => Effect.Effect<Share>
  /** Gives back all shares that were not released. */
  readonly close: Effect.Effect<void>
}

/** What a body will take once it is parsed, in units: by its length or by its values, whichever is more. */
export const unitsOf = (body: Uint8Array): number => {
  const share = Math.max(body.byteLength / PAGE_BOUNDS.bytes, valuesIn(body) / PAGE_BOUNDS.values)
  return Math.min(PAGE_UNITS, Math.max(1, Math.ceil(share * PAGE_UNITS)))
}

interface Waiting {
  readonly units: number
  readonly grant: () => void
}

/** Makes a budget. First come, first served: a large page is not overtaken by small ones for ever. */
export const makeBudget = (total: number): { readonly openTab: () => Tab } => {
  let free = total
  const queue: Array<Waiting> = []
  const serve = () => {
    while (queue.length > 0 && queue[0]!.units <= free) {
      const { units, grant } = queue.shift()!
      free -= units
      grant()
    }
  }
  const openTab = (): Tab => {
    const shares = new Set<Share>()
    const open = (units: number): Share => {
      const share: Share = {
        units,
        release: Effect.sync(() => {
          if (!shares.delete(share)) return
          free += units
          serve()
        }),
      }
      shares.add(share)
      return share
    }
    return {
      take: asked =>
        Effect.async<Share>(resume => {
          const units = Math.min(asked, total)
          // The tab knows the share at once: a fiber that is interrupted now leaves it to `close`.
          const waiting = { units, grant: () => resume(Effect.succeed(open(units))) }
          queue.push(waiting)
          serve()
          return Effect.sync(() => {
            const at = queue.indexOf(waiting)
            if (at >= 0) queue.splice(at, 1)
            serve()
          })
        }),
      close: Effect.suspend(() => Effect.forEach([...shares], ({ release }) => release, { discard: true })),
    }
  }
  return { openTab }
}

/** The budget of this process. */
const ofProcess = makeBudget(PROCESS_UNITS)

export const openTab: Effect.Effect<Tab> = Effect.sync(ofProcess.openTab)

/** Runs an effect with a tab of its own, which is closed when the effect ends in whatever way. */
export const withTab = <A, E, R>(use: (tab: Tab) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(openTab, use, tab => tab.close)

import { Effect } from "effect"
import { valuesIn } from "../../core/jsonText.ts"
import { PAGE_BOUNDS } from "./bounds.ts"

/**
 * The budget of memory for pages of lists in this process, over all streams and accounts, from parsing to writing. A
 * page as large as its bounds takes more than a hundred MiB on its way, so streams that read such pages at the same
 * time take turns.
 *
 * A page is weighed when it is completely received, and its share is taken in one step. The holder of a share needs no
 * other share to write its page, so shares cannot be waited for in a circle.
 */

/** Units of a page as large as its bounds. */
export const PAGE_UNITS = 1_000
/** Units of the process. They keep a list of 1,000 records a page, which takes 190, at full speed. */
const PROCESS_UNITS = 1.5 * PAGE_UNITS

export interface Share {
  readonly units: number
  /** Releases the share. A second call does nothing. */
  readonly release: Effect.Effect<void>
}

export interface Tab {
  /** Waits for a share. Shares are given in the order of the calls. */
  readonly take: (units: number) => Effect.Effect<Share>
  readonly close: Effect.Effect<void>
}

/** Estimates the memory of a parsed body in units, by its length or by its values, whichever is more. */
export const unitsOf = (body: Uint8Array): number => {
  const share = Math.max(body.byteLength / PAGE_BOUNDS.bytes, valuesIn(body) / PAGE_BOUNDS.values)
  return Math.min(PAGE_UNITS, Math.max(1, Math.ceil(share * PAGE_UNITS)))
}

/** Makes a budget. Shares are given in the order of the calls, so small pages cannot overtake a large one for ever. */
export const makeBudget = (total: number): { readonly openTab: () => Tab } => {
  let free = total
  const queue: Array<{ readonly units: number; readonly grant: () => void }> = []
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
          // The tab knows the share at once. If the fiber is interrupted now, `close` releases it.
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

const ofProcess = makeBudget(PROCESS_UNITS)

export const openTab: Effect.Effect<Tab> = Effect.sync(ofProcess.openTab)

export const withTab = <A, E, R>(use: (tab: Tab) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(openTab, use, tab => tab.close)

import { describe, expect, it } from "@effect/vitest"
import type { JsonObject } from "../../src/core/json.ts"
import type { ListSource } from "../../src/core/stream.ts"
import { watchOrder } from "../../src/paycombat/lists/order.ts"
import { SOURCES } from "./support.ts"

const source: ListSource = {
  ...SOURCES.transactions,
  times: { created: "created_at", updated: "updated_at", open: null },
}
const READ_AT = new Date("2026-01-01T00:00:00Z")

/** A minute is a record's time and its name. */
const at = (minute: number) => new Date(Date.UTC(2025, 0, 1, 0, minute)).toISOString()
const record = (created: number, updated = created): JsonObject => ({
  transaction_id: `t${created}`,
  created_at: at(created),
  updated_at: at(updated),
})

/** The order that is known after these pages, numbered from the first given. */
const watched = (pages: ReadonlyArray<ReadonlyArray<JsonObject>>, first = 1) => {
  const watch = watchOrder(source)
  pages.forEach((records, index) => {
    watch.see({
      number: first + index,
      pageSize: 10,
      records,
      readAt: READ_AT,
      bytes: 1_000,
      total: undefined,
      next: null,
      isLast: false,
    })
  })
  return watch
}

/** Pages of ten, newest first, from this minute down. */
const descending = (pages: number, from = 100, updated = (minute: number) => minute) =>
  Array.from({ length: pages }, (_, page) =>
    Array.from({ length: 10 }, (_, n) => record(from - page * 10 - n, updated(from - page * 10 - n))),
  )

describe("the order of a list", () => {
  it("is proven by pages in a row, not by one or two", () => {
    expect(watched(descending(1)).order()).toBe(undefined)
    expect(watched(descending(2)).order()).toBe(undefined)
    expect(watched(descending(3)).order()).toBe("created")
  })

  it("is by the latest change only if the time of creation does not hold, too", () => {
    expect(watched(descending(3, 100, minute => minute + 1)).order()).toBe("created")
    const mixed = (minute: number) => (minute * 37) % 101
    const byUpdate = descending(3).map(page =>
      page.map(each => ({ ...each, created_at: at(mixed(Date.parse(String(each.created_at)) / 60_000)) })),
    )
    expect(watched(byUpdate).order()).toBe("updated")
  })

  it("is refuted by one record out of place, within a page or between two", () => {
    const within = descending(4)
    within[2]![5] = record(99)
    expect(watched(within).order()).toBe(undefined)
    expect(watched(within).isRefuted("created")).toBe(true)
    const [first, second, third, fourth] = descending(4)
    expect(watched([second!, first!, third!, fourth!]).isRefuted("created")).toBe(true)
  })

  it("is not proven by pages from the middle on, by the same time everywhere, or without times", () => {
    expect(watched(descending(5), 2).order()).toBe(undefined)
    expect(
      watched(
        descending(5).map(page =>
          page.map((each, n) => ({ ...each, transaction_id: `s${n}`, created_at: at(1), updated_at: at(1) })),
        ),
      ).order(),
    ).toBe(undefined)
    const timeless = descending(5).map(page =>
      page.map(({ transaction_id }) => ({ transaction_id: transaction_id! })),
    )
    expect(watched(timeless).order()).toBe(undefined)
    expect(watched(timeless).isRefuted("created")).toBe(false)
  })

  it("holds if records without a time are among the others, and if insertions shift the pages", () => {
    const some = descending(4).map(page =>
      page.map((each, n) => (n % 3 === 0 ? { ...each, created_at: null } : each)),
    )
    expect(watched(some).order()).toBe("created")
    const [first, ...others] = descending(4)
    // Two were inserted meanwhile: the next page begins with the last two of the one before.
    const shifted = [
      first!,
      ...others.map((page, n) => [...descending(4)[n]!.slice(-2), ...page.slice(0, 8)]),
    ]
    expect(watched(shifted).isRefuted("created")).toBe(false)
  })

  it("is not proven if records without a time are together, because new ones may be behind them or among them", () => {
    const lacking = (minutes: ReadonlyArray<number>) =>
      minutes.map(minute => ({ ...record(minute, minute * 2), created_at: null }))
    // By its latest change, as the others are too: new ones without a time of creation, before all others or behind them.
    const [block, others] = [lacking([101, 102, 103]), descending(4, 100, minute => (minute * 37) % 101)]
    expect(watched([block, ...others]).order()).toBe(undefined)
    expect(watched([...others, block]).order()).toBe(undefined)
    expect(watched([...others, block, ...descending(1, 60)]).order()).toBe("created")
    // Old ones at the end do not matter.
    const old = [1, 2, 3].map(minute => ({ ...record(minute), created_at: null }))
    expect(watched([...descending(5), old]).order()).toBe("created")
  })

  it("leaves out pages that are read again at the end of a pass", () => {
    const watch = watched(descending(4))
    const again = {
      number: 1,
      pageSize: 10,
      records: [record(500)],
      readAt: READ_AT,
      bytes: 1_000,
      total: undefined,
      next: null,
      isLast: true,
    }
    watch.see(again)
    expect(watch.order()).toBe("created")
    expect(watch.pages()).toBe(4)
  })
})

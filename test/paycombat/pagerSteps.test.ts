import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Contract } from "../../src/paycombat/lists/contract.ts"
import type { Page, Position } from "../../src/paycombat/lists/page.ts"
import {
  begin,
  type PageState,
  requestOf,
  type State,
  type Step,
} from "../../src/paycombat/lists/pagerState.ts"
import { afterCheck, afterEnd, afterPage } from "../../src/paycombat/lists/pagerSteps.ts"
import type { ReadPage } from "../../src/paycombat/lists/readPage.ts"

/** The states of a pass, without HTTP: what follows an answer, and that each sequence of answers ends with all records. */

const CONTRACT: Contract = {
  path: "/list",
  pageParam: "page",
  sizeParam: "limit",
  firstPage: 1,
  at: "data",
  pageSize: 3,
  maxPageSize: null,
  hasTotal: false,
  pagingProven: true,
  verified: true,
}
const SIZE = 3

const pageOf = (ids: ReadonlyArray<string>, stated: Partial<ReadPage> = {}): ReadPage => ({
  at: "data",
  ids,
  records: ids.map(id => ({ id })),
  readAt: new Date(0),
  bytes: 0,
  share: undefined,
  absence: undefined,
  isRefused: false,
  total: undefined,
  pageCount: undefined,
  more: undefined,
  ...stated,
})

/** `r0-r2`: the records from 0 to 2. */
const records = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from) }, (_, n) => `r${from + n}`)
const numbered = (number: number, stated: Partial<ReadPage> = {}) =>
  pageOf(records((number - 1) * SIZE, number * SIZE), stated)
const idsOf = ({ records: held }: Page) => held.map(record => (record as { id: string }).id)

/** A state must be as it was after each transition that was made of it. */
const frozen = <A>(value: A): A => {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value
  if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(Object.freeze(value))) frozen(item)
  return value
}

const isPageState = (state: State): state is PageState =>
  !["ending", "repeated", "gap", "first"].includes(state.is)

/** Answers a state by pages alone; the end of the list is where no page follows. */
const answer = (state: State, page: (number: number, size: number) => ReadPage): Step => {
  if (isPageState(state)) {
    const { number, size } = requestOf(state)
    return afterPage(state, page(number, size))
  }
  if (state.is !== "ending") return afterCheck(state, state.is !== "gap")
  const { last, size } = state.facts
  const again = page(state.page, size)
  const isThere = again.ids.length > 0 && !state.isWrapped && again.ids[0] !== last.ids[0]
  if (isThere && state.got === undefined) return afterEnd(state, { is: "there", page: again })
  if (last.number === 0) return afterEnd(state, { is: "end", witness: undefined })
  const witness = page(last.number, size)
  const grown = witness.ids.filter(id => !last.ids.includes(id)).map(id => ({ id }))
  return afterEnd(state, { is: "end", witness: { ...witness, records: grown } })
}

const STEPS_MAX = 1_000

/** A pass: its pages, or the message of its failure. */
const pass = (page: (number: number, size: number) => ReadPage, from?: Position, contract = CONTRACT) => {
  const emitted: Array<Page> = []
  let state: State | undefined = begin(contract, SIZE, from)
  for (let steps = 0; state !== undefined; steps++) {
    if (steps === STEPS_MAX) throw new Error("does not end")
    const step: Step = answer(frozen(state), page)
    if (step.failure !== undefined) return { emitted, failure: step.failure.message }
    if (step.emit !== undefined) emitted.push(step.emit)
    if (step.state === undefined) expect(step.emit?.isLast).toBe(true)
    state = step.state
  }
  return { emitted, failure: undefined }
}

/** Each way to answer beyond the end of a list, and what the pages state. */
const ENDS = {
  empty: () => pageOf([]),
  "404": () => pageOf([], { absence: "is answered with 404" }),
  repeat: (list: ReadonlyArray<string>, size: number) =>
    pageOf(list.slice(Math.floor((list.length - 1) / size) * size)),
  wrap: (list: ReadonlyArray<string>, size: number) => pageOf(list.slice(0, size)),
} as const

const lists = fc
  .record({
    length: fc.integer({ min: 1, max: 40 }),
    end: fc.constantFrom(...(Object.keys(ENDS) as Array<keyof typeof ENDS>)),
    hasTotal: fc.boolean(),
  })
  // Page 1 once more is an end only where a total says so, and behind two pages.
  .filter(({ end, hasTotal, length }) => end !== "wrap" || (hasTotal && length > SIZE))

const serve =
  (length: number, end: keyof typeof ENDS, hasTotal: boolean) =>
  (number: number, size: number): ReadPage => {
    const list = records(0, length)
    const held = list.slice((number - 1) * size, number * size)
    const page = held.length > 0 ? pageOf(held) : ENDS[end](list, size)
    return hasTotal ? { ...page, total: length } : page
  }

describe("a pass", () => {
  it("emits every record at least once, and one last page, for any list", () => {
    fc.assert(
      fc.property(lists, ({ length, end, hasTotal }) => {
        const { emitted, failure } = pass(serve(length, end, hasTotal))
        expect(failure).toBeUndefined()
        expect(new Set(emitted.flatMap(idsOf))).toEqual(new Set(records(0, length)))
        expect(emitted.filter(({ isLast }) => isLast)).toEqual([emitted.at(-1)])
        expect(emitted.filter(({ next }) => next === null)).toEqual([emitted.at(-1)])
      }),
    )
  })

  it("that is resumed from any of its positions emits the rest", () => {
    fc.assert(
      fc.property(lists, fc.nat(), ({ length, end, hasTotal }, at) => {
        const page = serve(length, end, hasTotal)
        const whole = pass(page).emitted
        const index = at % whole.length
        const from = whole[index]!.next
        if (from === null) return
        const before = whole.slice(0, index + 1).flatMap(idsOf)
        const { emitted, failure } = pass(page, from)
        expect(failure).toBeUndefined()
        expect(new Set([...before, ...emitted.flatMap(idsOf)])).toEqual(new Set(records(0, length)))
      }),
    )
  })

  it("emits each record that is listed from its beginning to its end, whatever is inserted meanwhile", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("front", "back", "no"), { maxLength: 8 }),
        fc.integer({ min: 4, max: 20 }),
        (changes, length) => {
          let list = records(0, length)
          let asked = 0
          const { emitted, failure } = pass((number, size) => {
            const change = changes[asked++]
            if (change === "front") list = [`new${asked}`, ...list]
            if (change === "back") list = [...list, `new${asked}`]
            return pageOf(list.slice((number - 1) * size, number * size))
          })
          expect(failure).toBeUndefined()
          const read = new Set(emitted.flatMap(idsOf))
          const expected = records(0, length)
          expect(expected.filter(id => !read.has(id))).toEqual([])
        },
      ),
    )
  })
})

/** The state after these pages, from page 1 on. */
const stateAfter = (...read: ReadonlyArray<ReadPage>): State =>
  read.reduce<State>((state, got) => afterPage(state as PageState, got).state!, begin(CONTRACT, SIZE))

describe("a transition", () => {
  const [one, two, three] = [numbered(1), numbered(2), numbered(3)] as const
  const short = pageOf(["r3", "r4"])
  const CASES: ReadonlyArray<readonly [name: string, state: State, got: ReadPage, next: object]> = [
    ["a page of records asks for the next one", stateAfter(), one, { is: "listing", page: 2 }],
    ["an empty page asks for proof", stateAfter(one), pageOf([]), { is: "ending", page: 2 }],
    ["a stated total asks for proof", stateAfter(one), numbered(2, { total: 6 }), { is: "ending", page: 3 }],
    ["the same page again is read once more", stateAfter(one), one, { is: "repeating", page: 2 }],
    [
      "a page behind a short one has that read again",
      stateAfter(one, short),
      three,
      { is: "rechecking", short: { number: 2 } },
    ],
    ["page 1 once more has page 1 read again", stateAfter(one, two), one, { is: "wrapping", page: 3 }],
    ["a repeated page that is another now is taken", stateAfter(one, one), two, { is: "listing", page: 3 }],
    ["a repeated page that stays so asks what it is", stateAfter(one, one), one, { is: "repeated", page: 2 }],
    [
      "a short page that has grown is handed on",
      stateAfter(one, short, three),
      numbered(2),
      { is: "listing", page: 4 },
    ],
    [
      "a short page that stays so asks for a gap",
      stateAfter(one, short, three),
      short,
      { is: "gap", short: { number: 2 } },
    ],
  ]
  for (const [name, state, got, next] of CASES)
    it(name, () => expect(afterPage(frozen(state) as PageState, got).state).toMatchObject(next))

  it("after the proof of a wrapped list ends it only if the stated total agrees", () => {
    const wrapped = (stated: Partial<ReadPage>) => {
      const first = numbered(1, stated)
      return afterPage(stateAfter(first, numbered(2, stated), first) as PageState, first)
    }
    expect(wrapped({ pageCount: 2 })).toMatchObject({ state: { is: "ending", page: 3, isWrapped: true } })
    for (const stated of [{}, { pageCount: 4 }])
      expect(wrapped(stated).failure?.message).toContain("page 3 is page 1 once more, again and again")
  })

  it("after the proof of a wrapped list takes the page if page 1 has changed meanwhile", () => {
    const step = afterPage(stateAfter(one, two, one) as PageState, three)
    expect(step).toMatchObject({ emit: { number: 3 }, state: { is: "listing", page: 4 } })
  })

  it("in a resumed pass begins again if the page is gone, smaller, or page 1", () => {
    const from: Position = { page: 4, pageSize: 5, head: ["r0", "r1", "r2"], skipped: [2] }
    const resuming = begin(CONTRACT, SIZE, from) as PageState
    for (const got of [pageOf([]), pageOf(["a", "b"]), one])
      expect(afterPage(resuming, got).state).toMatchObject({
        is: "listing",
        page: 1,
        facts: { size: SIZE, isResumed: false, head: [], skipped: [] },
      })
    expect(afterPage(resuming, pageOf(records(15, 20)))).toMatchObject({
      emit: { number: 4, next: { page: 5, skipped: [2] } },
      state: { is: "listing", page: 5 },
    })
  })

  it("after the proof of an end follows the judgement", () => {
    const ending = stateAfter(one, two, pageOf([])) as Extract<State, { is: "ending" }>
    expect(afterEnd(ending, { is: "there", page: three }).state).toMatchObject({ is: "listing", page: 4 })
    expect(afterEnd(ending, { is: "hole", page: pageOf([]), until: 5 })).toMatchObject({
      emit: { records: [], next: { skipped: [3] } },
      state: { is: "listing", page: 4, facts: { notBefore: 5 } },
    })
    const witness = (grown: ReadonlyArray<string>) => ({ ...two, records: grown.map(id => ({ id })) })
    expect(afterEnd(ending, { is: "end", witness: witness([]) }).state).toMatchObject({
      is: "front",
      page: 1,
    })
    expect(afterEnd(ending, { is: "end", witness: witness(["r9"]) }).state).toMatchObject({
      is: "listing",
      page: 3,
    })
  })

  it("in a list that held records and holds none is a failure", () => {
    const ending = stateAfter(pageOf([])) as Extract<State, { is: "ending" }>
    expect(afterEnd(ending, { is: "end", witness: undefined }).failure?.message).toContain(
      "page 1 holds no records",
    )
    const empty = { ...ending, facts: { ...ending.facts, contract: { ...CONTRACT, verified: false } } }
    expect(afterEnd(empty, { is: "end", witness: undefined }).emit).toMatchObject({
      isLast: true,
      records: [],
    })
  })

  it("leaves a front that keeps growing to the next run", () => {
    let state: State | undefined = afterEnd(
      stateAfter(one, two, pageOf([])) as Extract<State, { is: "ending" }>,
      {
        is: "end",
        witness: { ...two, records: [] },
      },
    ).state
    let looks = 0
    while (state?.is === "front") {
      if (state.page === 1) looks++
      const got: ReadPage = state.page === 1 ? pageOf([`new${looks}`, "r0", "r1"]) : two
      const step: Step = afterPage(state, got)
      if (step.state === undefined) expect(step.emit).toMatchObject({ isLast: true, next: null })
      state = step.state
    }
    expect(state).toBeUndefined()
    expect(looks).toBeLessThan(10)
  })
})

import { Effect, Option, Stream } from "effect"
import type { AccountError, EndpointError } from "../../core/errors.ts"
import type { ListSource } from "../../core/stream.ts"
import type { Tab } from "../client/budget.ts"
import type { Client } from "../client/client.ts"
import type { Contract } from "./contract.ts"
import { judgeEnd, judgeRepeat } from "./end.ts"
import { type Checking, failIfPageZeroExists, hasGapAfter, type Read } from "./gapChecks.ts"
import { type Page, PagingBounds, type Position } from "./page.ts"
import { begin, type CheckState, type EndState, type PageState, requestOf, type State } from "./pagerState.ts"
import { afterCheck, afterEnd, afterPage } from "./pagerSteps.ts"
import { moved, neverEnding } from "./pagingErrors.ts"
import { glanceAt, isNotFound, newcomers, readPage, releaseShare } from "./readPage.ts"

/**
 * Reads every record of a list, page by page, in order, until the end is proven (`end.ts`) in any of its forms. From
 * page 2 on it requests the size that it observed. Then positions agree if the server counts by the requested size, and
 * also if it counts by its own cap.
 *
 * Promises each record that is listed from the beginning of the pass to its end, and those inserted at either end
 * meanwhile; some come twice. Does not promise records that move to an earlier page because others are deleted or
 * re-ordered meanwhile: no paging by number can, and the next full pass brings them.
 *
 * `from` resumes an earlier pass if the API still serves pages of its size, and else starts again. The memory of each
 * page is charged to `tab` until its share is released.
 */
export const pages = (
  client: Client,
  contract: Contract,
  source: ListSource,
  from?: Position,
  tab?: Tab,
): Stream.Stream<Page, AccountError | EndpointError> =>
  Stream.unwrap(
    Effect.map(PagingBounds, ({ maxPages }) => {
      const size = Math.min(client.account.pageSize, contract.maxPageSize ?? Number.POSITIVE_INFINITY)
      const nextStep = makeSteps(client, contract, source, makeReads(client, contract, source, maxPages, tab))
      const nextPage = (state: State): Checking<readonly [Page, Option.Option<State>]> =>
        Effect.flatMap(nextStep(state), ({ failure, emit, state: next }) => {
          if (failure !== undefined) return Effect.fail(failure)
          return emit === undefined ? nextPage(next!) : Effect.succeed([emit, Option.fromNullable(next)])
        })
      return Stream.paginateEffect(begin(contract, size, from), nextPage)
    }),
  )

type Reads = ReturnType<typeof makeReads>

const makeReads = (
  client: Client,
  contract: Contract,
  source: ListSource,
  maxPages: number,
  tab: Tab | undefined,
) => {
  let requests = 0
  const bounded =
    (readOne: typeof readPage, readTab?: Tab): Read =>
    (number, size) =>
      Effect.suspend(() =>
        requests++ < maxPages
          ? Effect.mapError(
              readOne(client, source, contract, number, size, readTab && { tab: readTab }),
              error => (isNotFound(error) ? moved(contract) : error),
            )
          : Effect.fail(neverEnding(contract, maxPages)),
      )
  // The records of a page that is kept are handed on: it is booked on the tab of the pass.
  return { read: bounded(readPage), readKept: bounded(readPage, tab), glance: bounded(glanceAt) }
}

const judge = ({ read, glance }: Reads, contract: Contract, state: EndState) => {
  const { facts, page: number, got, isWrapped } = state
  const { size, last, notBefore, statedLastPage } = facts
  const knownIds = new Set(last.ids)
  /** Drops the known records of a page: other records are asked for meanwhile. */
  const readNews: Read = (other, otherSize) =>
    Effect.map(read(other, otherSize), page => ({ ...page, records: newcomers(page, knownIds) }))
  // A list that begins anew has no page behind its end that could be another one: its total agrees.
  const hints = isWrapped ? [] : [notBefore, statedLastPage, contract.learned?.pages ?? 0]
  return judgeEnd(readNews, glance, contract, {
    number,
    got,
    last,
    size,
    hints,
    isWrapped,
    mayGoOn: last.number > 1 || last.ids.length >= facts.askedSize,
  })
}

const makeSteps = (client: Client, contract: Contract, source: ListSource, reads: Reads) => {
  const { read, readKept, glance } = reads
  const page = (state: PageState) =>
    Effect.gen(function* () {
      const { number, size, isKept, isGlance } = requestOf(state)
      const got = yield* (isGlance ? glance : isKept ? readKept : read)(number, size)
      const step = afterPage(state, got)
      // The records of the page are not handed on.
      if (step.emit?.share !== got.share) yield* releaseShare(got)
      return step
    })

  const check = (state: CheckState): Checking<boolean> => {
    const { last, size } = state.facts
    switch (state.is) {
      case "repeated":
        return judgeRepeat(read, contract, { number: state.page, got: state.got, last, size })
      case "gap":
        return hasGapAfter(read, glance, contract, { ...state.short, size }, last.ids)
      case "first":
        return Effect.as(failIfPageZeroExists(client, contract, source, state.ids, size), true)
    }
  }

  return (state: State) =>
    state.is === "ending"
      ? Effect.map(judge(reads, contract, state), ending => afterEnd(state, ending))
      : state.is === "repeated" || state.is === "gap" || state.is === "first"
        ? Effect.map(check(state), isSo => afterCheck(state, isSo))
        : page(state)
}

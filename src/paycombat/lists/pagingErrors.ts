import { EndpointError } from "../../core/errors.ts"
import type { Contract } from "./contract.ts"
import type { ReadPage } from "./readPage.ts"

const problem = ({ path }: Contract, what: string) =>
  new EndpointError({ reason: "contract", path, message: `GET ${path}: ${what}` })

/** `evidence` says that the list continues, but this page is missing. It may return in a later run. */
export const missingPage = ({ path }: Contract, number: number, absence: string, evidence: string) =>
  new EndpointError({
    reason: "unavailable",
    path,
    message: `GET ${path}: page ${number} ${absence} again and again, although ${evidence}: run again later; if it stays so, ask PayCombat`,
  })

/** The first page held records in this run, and no longer does. No page up to `lastNumber` does either. */
export const emptied = (contract: Contract, lastNumber: number, got: ReadPage | undefined) =>
  missingPage(
    contract,
    1,
    got?.absence ?? "holds no records",
    lastNumber === 1
      ? "this run has read records on it"
      : `this run has read records up to page ${lastNumber}`,
  )

/** The list existed when the run began, and its first page no longer does. */
export const moved = ({ path }: Contract) =>
  new EndpointError({
    reason: "refused",
    path,
    status: 404,
    message: `GET ${path}: the list is no longer there (404), although this run has read it: run again to look for it elsewhere`,
  })

export const neverEnding = (contract: Contract, requests: number) =>
  problem(
    contract,
    `still not at its end after ${requests} requests: if the list is that long, raise PAYCOMBAT_PAGE_SIZE; if it has no end, ask PayCombat`,
  )

/** Every page differs from the one before it, but none is new. */
export const circling = (contract: Contract, number: number, earlier: number) =>
  problem(
    contract,
    `page ${number} is page ${earlier} once more, again and again: the list has no end that can be told; set PAYCOMBAT_PAGING, or ask PayCombat`,
  )

/** The contract no longer holds; the next run discovers the list again. */
export const changed = (contract: Contract, evidence: string) =>
  problem(
    contract,
    `the list is no longer paged as it was found to be (${evidence}): nothing was booked as removed; run again to discover it anew`,
  )

export const cut = (contract: Contract, number: number) =>
  changed(contract, `page ${number} is cut, and what it lacks is on no other page`)

export const ignoredPaging = (contract: Contract) =>
  problem(
    contract,
    `page 2 repeats page 1, so the parameter "${contract.pageParam}" is ignored: put the names of the API's paging parameters in PAYCOMBAT_PAGING`,
  )

const UNTOLD_END =
  "and nothing that the API states shows that the list ends there: set PAYCOMBAT_PAGING, or ask PayCombat"

/** The parameter took effect up to the page before. */
export const repeating = (contract: Contract, number: number) =>
  problem(
    contract,
    `page ${number} repeats page ${number - 1}, which the pages before did not, ${UNTOLD_END}`,
  )

export const wrapped = (contract: Contract, number: number, stated: string) =>
  problem(
    contract,
    `page ${number} is page 1 once more, again and again, while page ${number - 1} was another (${stated}): the list begins anew behind its pages, ${UNTOLD_END}`,
  )

/** A page is refused behind a full page, and no other page shows if the list ends there. */
export const refusedEnd = ({ path }: Contract, number: number, absence: string) =>
  new EndpointError({
    reason: "refused",
    path,
    message: `GET ${path}: page ${number} ${absence}, the page before it is full, and no page of another size shows that the list ends there: raise PAYCOMBAT_PAGE_SIZE if the API bounds the number of pages, or ask PayCombat`,
  })

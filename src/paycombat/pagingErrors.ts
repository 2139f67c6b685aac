import { EndpointError } from "../Errors.ts"
import type { Contract } from "./discovery.ts"

const problem = ({ path }: Contract, what: string) =>
  new EndpointError({ reason: "contract", path, message: `GET ${path}: ${what}` })

/** The list goes on, as `evidence` says, but this page of it is not there: it may be back in a later run. */
export const missingPage = ({ path }: Contract, number: number, evidence: string) =>
  new EndpointError({
    reason: "unavailable",
    path,
    status: 404,
    message: `GET ${path}: page ${number} is answered with 404 again and again, although ${evidence}: run again later; if it stays so, ask PayCombat`,
  })

export const neverEnding = (contract: Contract, requests: number) =>
  problem(contract, `still not at its end after ${requests} requests`)

export const ignoredPaging = (contract: Contract, number: number) =>
  problem(
    contract,
    `page ${number} repeats page ${number - 1}, so the parameter "${contract.pageParam}" is ignored: put the names of the API's paging parameters in PAYCOMBAT_PAGING`,
  )

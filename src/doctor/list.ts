import { Effect } from "effect"
import { type AccountSettings, pathVariable } from "../config/config.ts"
import type { AccountError, EndpointError } from "../core/errors.ts"
import type { ListStream } from "../core/stream.ts"
import { counted } from "../core/words.ts"
import { type Client, Usage } from "../paycombat/client/client.ts"
import type { Contract } from "../paycombat/lists/contract.ts"
import { boundedClient } from "./api/bounded.ts"
import { type Probe, probeList } from "./api/probe.ts"
import { isFieldName } from "./drift.ts"
import { type Finding, finding } from "./finding.ts"

/** What discovery finds about a list, in words. */

/** Requests that one list may cost: discovery with all its candidates takes some 60. */
const REQUESTS_PER_LIST_MAX = 150

/** How a list is read, as far as it was found; `error` where it was not. */
export interface Listed {
  readonly probe: Probe | undefined
  readonly error: AccountError | EndpointError | undefined
  readonly requests: number
}

/** Looks at a list, within its budget of requests. */
export const lookAt = (client: Client, account: AccountSettings, stream: ListStream): Effect.Effect<Listed> =>
  Effect.gen(function* () {
    const usage = { requests: 0, retries: 0 }
    const probed = yield* probeList(boundedClient(client, REQUESTS_PER_LIST_MAX), stream.source, {
      pathVariable: pathVariable(stream.name),
      configuredPath: account.paths[stream.name],
      configuredPaging: account.paging,
    }).pipe(Effect.provideService(Usage, usage), Effect.either)
    return probed._tag === "Right"
      ? { probe: probed.right, error: undefined, requests: usage.requests }
      : { probe: undefined, error: probed.left, requests: usage.requests }
  })

const pagingOf = ({ pageParam, sizeParam, firstPage, paginator }: Contract): string =>
  paginator === "offset"
    ? `by ${pageParam},${sizeParam}, counted in records`
    : `by ${pageParam},${sizeParam} from page ${firstPage}`

/** How many records a page holds, and who says so. */
const sizeOf = ({ pageSize, maxPageSize, verified }: Contract, asked: number): string => {
  if (!verified) return ""
  if (maxPageSize !== null) return `, at most ${maxPageSize} per page (more is refused)`
  return pageSize < asked
    ? `, ${pageSize} per page where ${asked} were asked for (its cap, or all there are)`
    : `, ${pageSize} per page as asked`
}

const listFinding = (
  { contract, records, total, isWhole }: Probe,
  account: AccountSettings,
  name: string,
  requests: number,
) => {
  const about = { account: account.name, stream: name }
  const where = `${contract.path}, paged ${pagingOf(contract)}${sizeOf(contract, account.pageSize)}`
  const inside = `records in ${contract.at === "" ? "the answer itself" : contract.at}`
  const stated = total === undefined ? "no total stated" : `a total of ${total} stated`
  const told = `${where}; ${inside}; ${stated}; ${counted(requests, "request")}`
  const variable = pathVariable(name)
  if (!contract.verified)
    return finding(
      "warn",
      "list",
      `${contract.path} lists nothing (${counted(requests, "request")})${account.paths[name] === undefined ? `, and nobody documented it: a sync fails rather than believe it. If there really are no ${name}, set ${variable}=${contract.path}` : `: if there are ${name}, set ${variable} to another path, or ask PayCombat what this token may read`}.`,
      about,
    )
  if (!contract.pagingProven && !(isWhole && records.length <= 1))
    return finding(
      "warn",
      "list",
      `${told}. No parameter was seen to set the size of a page: what lies between pages cannot be told, and no removal is proven. If the API has one, put its names in PAYCOMBAT_PAGING.`,
      about,
    )
  return finding("pass", "list", `${told}.`, about)
}

const orderMessage = ({ order, pages }: Probe): string | undefined => {
  if (order === undefined) return undefined
  const on = `on the ${counted(pages, "page")} read`
  switch (order.seen) {
    case "newest first":
      return `newest first by ${order.by === "created" ? "creation" : "latest change"} ${on}: once a full pass has proven it, runs stop where nothing is new.`
    case "oldest first":
      return `oldest first by ${order.by === "created" ? "creation" : "latest change"} ${on}: what is new cannot be told from it.`
    case "neither":
      return `not ordered by time ${on}: what is new cannot be told from it.`
    case "too few records to tell":
      return "too few records to tell."
  }
}

const filterMessage = ({ filter }: Probe): string | undefined => {
  if (filter === undefined) return undefined
  switch (filter.is) {
    case "proven":
      return `start_time${filter.hasEnd ? " and end_time" : ""} in ${filter.unit} select by ${filter.by === "created" ? "creation" : "latest change"}.`
    case "likely":
      return `start_time in ${filter.unit} seems to take effect; a full pass must prove by which time.`
    case "not found":
      return "none that takes effect."
  }
}

/** Names of fields, as far as they are such. */
const names = (fields: ReadonlyArray<string>): string => {
  const shown = fields.filter(isFieldName).slice(0, 10)
  return `${shown.join(", ")}${fields.length > shown.length ? ` and ${fields.length - shown.length} more` : ""}`
}

const byIdFinding = ({ byId }: Probe, about: { account: string; stream: string }): ReadonlyArray<Finding> => {
  if (byId === undefined) return []
  const { endpoint, why, isNeeded, onlyById, onlyInList } = byId
  if (endpoint === null)
    return isNeeded
      ? [
          finding(
            "fail",
            "by id",
            `the list leaves out a part of each record, and ${why ?? "none is answered by its id: ask PayCombat"}.`,
            about,
          ),
        ]
      : [
          finding(
            "pass",
            "by id",
            `no endpoint found: what changes in old records shows at a full pass only.`,
            about,
          ),
        ]
  const differences = [
    ...(onlyById.length > 0 ? [`it has ${names(onlyById)} beyond the list`] : []),
    ...(onlyInList.length > 0 ? [`it lacks ${names(onlyInList)}`] : []),
  ]
  return [
    finding(
      "pass",
      "by id",
      `${endpoint}${isNeeded ? ", asked for each record: the list leaves a part out" : ""}${differences.length > 0 ? `; ${differences.join("; ")}` : ""}.`,
      about,
    ),
  ]
}

const readsAlike = (one: Contract, other: Contract): boolean =>
  (["path", "pageParam", "sizeParam", "firstPage", "at"] as const).every(key => one[key] === other[key])

/** The lines about a list; `known` is what syncs have stored of it. */
export const listFindings = (
  { probe, error, requests }: Listed,
  account: AccountSettings,
  { name }: ListStream,
  known: Contract | undefined,
): ReadonlyArray<Finding> => {
  const about = { account: account.name, stream: name }
  if (probe === undefined)
    return [
      finding("fail", "list", `${error?.message ?? "not found"} (${counted(requests, "request")}).`, about),
    ]
  const order = orderMessage(probe)
  const filter = filterMessage(probe)
  return [
    listFinding(probe, account, name, requests),
    ...(known !== undefined && !readsAlike(probe.contract, known)
      ? [
          finding(
            "warn",
            "list",
            `syncs have read it otherwise so far: ${known.path}, by ${known.pageParam},${known.sizeParam}, records in ${known.at}. The next sync verifies that first; if it is no longer so, it goes by what is found: nothing to do.`,
            about,
          ),
        ]
      : []),
    ...(order === undefined || probe.records.length === 0 ? [] : [finding("pass", "order", order, about)]),
    ...(filter === undefined ? [] : [finding("pass", "time filter", filter, about)]),
    ...byIdFinding(probe, about),
  ]
}

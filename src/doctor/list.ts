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
import { checkOf, type Finding } from "./finding.ts"

/** Describes in words what discovery finds about a list. */

/** Most requests for one list. Discovery with all its candidates takes some 60. */
const REQUESTS_PER_LIST_MAX = 150

/** The way in which a list is read, as far as it was found; otherwise `error`. */
export interface Listed {
  readonly probe: Probe | undefined
  readonly error: AccountError | EndpointError | undefined
  readonly requests: number
}

/** Examines a list, within its budget of requests. */
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
  const description = `${where}; ${inside}; ${stated}; ${counted(requests, "request")}`
  const variable = pathVariable(name)
  if (!contract.verified)
    return checkOf("list", about).warn(
      `${contract.path} lists nothing (${counted(requests, "request")})${account.paths[name] === undefined ? `, and nobody documented it: a sync fails rather than believe it. If there really are no ${name}, set ${variable}=${contract.path}` : `: if there are ${name}, set ${variable} to another path, or ask PayCombat what this token may read`}.`,
    )
  if (!contract.pagingProven && !(isWhole && records.length <= 1))
    return checkOf("list", about).warn(
      `${description}. No parameter was seen to set the size of a page: records between pages may be missing unseen, and no removal is proven. If the API has one, put its names in PAYCOMBAT_PAGING.`,
    )
  return checkOf("list", about).pass(`${description}.`)
}

const orderMessage = ({ order, pages }: Probe): string | undefined => {
  if (order === undefined) return undefined
  const on = `on the ${counted(pages, "page")} read`
  switch (order.seen) {
    case "newest first":
      return `newest first by ${order.by === "created" ? "creation" : "latest change"} ${on}: once a full pass has proven it, runs stop where nothing is new.`
    case "oldest first":
      return `oldest first by ${order.by === "created" ? "creation" : "latest change"} ${on}: what is new cannot be seen from it.`
    case "neither":
      return `not ordered by time ${on}: what is new cannot be seen from it.`
    case "too few records to tell":
      return "too few records to tell."
  }
}

/** Names of fields; keys that are no field names are left out. */
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
          checkOf("by id", about).fail(
            `the list leaves out a part of each record, and ${why ?? "none is answered by its id: ask PayCombat"}.`,
          ),
        ]
      : [checkOf("by id", about).pass(`no endpoint found: changes of old records show at a full pass only.`)]
  const differences = [
    ...(onlyById.length > 0 ? [`it has ${names(onlyById)} beyond the list`] : []),
    ...(onlyInList.length > 0 ? [`it lacks ${names(onlyInList)}`] : []),
  ]
  return [
    checkOf("by id", about).pass(
      `${endpoint}${isNeeded ? ", asked for each record: the list leaves a part out" : ""}${differences.length > 0 ? `; ${differences.join("; ")}` : ""}.`,
    ),
  ]
}

const readsAlike = (one: Contract, other: Contract): boolean =>
  (["path", "pageParam", "sizeParam", "firstPage", "at"] as const).every(key => one[key] === other[key])

/** The lines about a list. `stored` is the contract that syncs have stored. */
export const listFindings = (
  { probe, error, requests }: Listed,
  account: AccountSettings,
  { name }: ListStream,
  stored: Contract | undefined,
): ReadonlyArray<Finding> => {
  const about = { account: account.name, stream: name }
  if (probe === undefined)
    return [
      checkOf("list", about).fail(`${error?.message ?? "not found"} (${counted(requests, "request")}).`),
    ]
  const order = orderMessage(probe)
  return [
    listFinding(probe, account, name, requests),
    ...(stored !== undefined && !readsAlike(probe.contract, stored)
      ? [
          checkOf("list", about).warn(
            `syncs have read it differently so far: ${stored.path}, by ${stored.pageParam},${stored.sizeParam}, records in ${stored.at}. The next sync verifies that first; if it fails, it uses the new findings: nothing to do.`,
          ),
        ]
      : []),
    ...(order === undefined || probe.records.length === 0 ? [] : [checkOf("order", about).pass(order)]),
    ...byIdFinding(probe, about),
  ]
}

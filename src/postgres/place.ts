import { isIP } from "node:net"
import { join } from "node:path"
import type { Host } from "./address.ts"

/** Names of servers in messages, and errors about them. */

/** Makes an error with a code, as Node's own errors have one. `describeFailure` chooses the next step by it. */
export const failure = (message: string, code: string): Error => Object.assign(new Error(message), { code })

export const isSocketFile = ({ name }: Host): boolean => name.startsWith("/")

export const socketFile = ({ name, port }: Host): string => join(name, `.s.PGSQL.${port}`)

export const placeOf = (host: Host): string => {
  if (isSocketFile(host)) return socketFile(host)
  return `${isIP(host.name) === 6 ? `[${host.name}]` : host.name}:${host.port}`
}

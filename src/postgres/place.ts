import { isIP } from "node:net"
import { join } from "node:path"
import type { Host } from "./address.ts"

/** Names of places, and errors about them, for all that connects. */

/** An error with a code, as Node's own have one: by it `describeFailure` knows what to do next. */
export const failure = (message: string, code: string): Error => Object.assign(new Error(message), { code })

export const isSocketFile = ({ name }: Host): boolean => name.startsWith("/")

export const socketFile = ({ name, port }: Host): string => join(name, `.s.PGSQL.${port}`)

/** A host as messages name it. */
export const placeOf = (host: Host): string => {
  if (isSocketFile(host)) return socketFile(host)
  return `${isIP(host.name) === 6 ? `[${host.name}]` : host.name}:${host.port}`
}

import type { Duplex } from "node:stream"
import postgres from "postgres"
import type { Address } from "./address.ts"

/** Opens the driver's pools, without the driver's own environment variables. */

export type DriverOptions = NonNullable<Parameters<typeof postgres>[1]> & { readonly max: number }

/** Hides the driver's variables, such as PGHOST and PGPASSWORD: the address alone counts. */
export const withoutVariables = <A>(make: () => A): A => {
  const hidden = Object.entries(process.env).filter(([name]) => name.startsWith("PG"))
  for (const [name] of hidden) delete process.env[name]
  try {
    return make()
  } finally {
    for (const [name, value] of hidden) process.env[name] = value
  }
}

/** Opens one of the driver's pools, on connections of `socket`, TLS included. Connects with the first statement. */
export const openDriver = (
  { hosts, user, password, database, session }: Address,
  socket: () => Promise<Duplex>,
  { connection, ...options }: DriverOptions,
): postgres.Sql =>
  withoutVariables(
    () =>
      postgres({
        ...options,
        // One host, for messages. With several, the driver never reports that it cannot connect.
        host: [hosts[0]!.name],
        port: [hosts[0]!.port],
        database,
        user,
        // A function: the driver takes an empty string for a missing password.
        pass: () => password,
        ssl: false,
        connection: { ...connection, ...session },
        socket,
      } as unknown as DriverOptions) as unknown as postgres.Sql,
  )

import type { Duplex } from "node:stream"
import postgres from "postgres"
import type { Address } from "./address.ts"

/** The driver, asked for nothing but what it is told. */

export type DriverOptions = NonNullable<Parameters<typeof postgres>[1]> & { readonly max: number }

/**
 * The driver reads variables of its own: PGHOST, PGPASSWORD, PGSSL, PGTARGETSESSIONATTRS and more. They are another
 * program's, which this process may have been started beside; the address is all there is.
 */
export const withoutVariables = <A>(make: () => A): A => {
  const hidden = Object.entries(process.env).filter(([name]) => name.startsWith("PG"))
  for (const [name] of hidden) delete process.env[name]
  try {
    return make()
  } finally {
    for (const [name, value] of hidden) process.env[name] = value
  }
}

/** Opens one of the driver's pools, whose connections `socket` makes, with TLS and all. Connects with the first statement. */
export const openDriver = (
  { hosts, user, password, database, session }: Address,
  socket: () => Promise<Duplex>,
  { connection, ...options }: DriverOptions,
): postgres.Sql =>
  withoutVariables(
    () =>
      postgres({
        ...options,
        // One, for messages: with several the driver never tells that it cannot connect.
        host: [hosts[0]!.name],
        port: [hosts[0]!.port],
        database,
        user,
        // A function, because the driver takes an empty password for none.
        pass: () => password,
        ssl: false,
        connection: { ...connection, ...session },
        socket,
      } as unknown as DriverOptions) as unknown as postgres.Sql,
  )

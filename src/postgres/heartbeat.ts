import type postgres from "postgres"

/** A connection for renewals alone. Work that takes all connections of the pool must not let its own leases expire. */
export interface HeartbeatConnection {
  readonly sql: () => postgres.Sql
  /** Replaces a connection that does not answer in time. */
  readonly replace: () => void
  readonly close: () => Promise<void>
}

const connections = new WeakMap<postgres.Sql, HeartbeatConnection>()

/** Gives a pool its heartbeat's connection, which opens with the first renewal. */
export const addHeartbeat = (pool: postgres.Sql, open: () => postgres.Sql): HeartbeatConnection => {
  let current: postgres.Sql | undefined
  const end = () => {
    const former = current
    current = undefined
    return former === undefined ? Promise.resolve() : former.end({ timeout: 0 })
  }
  const connection: HeartbeatConnection = {
    sql: () => {
      current ??= open()
      return current
    },
    replace: () => void end(),
    close: end,
  }
  connections.set(pool, connection)
  return connection
}

export const heartbeatOf = (pool: postgres.Sql): Pick<HeartbeatConnection, "sql" | "replace"> =>
  connections.get(pool) ?? { sql: () => pool, replace: () => undefined }

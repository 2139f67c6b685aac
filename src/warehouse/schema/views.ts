import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import type postgres from "postgres"
import { ConfigurationError } from "../../core/errors.ts"
import { captureGrants, type Grants, NO_GRANTS, restoreGrants } from "./grants.ts"

/** One answer: a file below `src/views`, which creates one view of `analytics` and comments on it. */
export interface View {
  readonly name: string
  readonly statements: string
  readonly hash: string
  /** Other views of ours that it reads. */
  readonly uses: ReadonlyArray<string>
}

/** Blanks out literals and comments, which name no view that is read. */
const withoutText = (statements: string): string => statements.replace(/'(?:[^']|'')*'|--[^\n]*/g, " ")

const toView = (name: string, text: string): View => {
  // A checkout with Windows' line ends has the same hashes.
  const statements = text.replaceAll("\r\n", "\n")
  const names = withoutText(statements).matchAll(/\banalytics\.([a-z0-9_]+)/g)
  return {
    name,
    statements,
    hash: createHash("sha256").update(statements).digest("hex"),
    uses: [...new Set(Array.from(names, match => match[1]!))].filter(used => used !== name),
  }
}

/** Sorts views so that each comes after those that it reads. */
const inOrder = (views: ReadonlyArray<View>): ReadonlyArray<View> => {
  const byName = new Map(views.map(view => [view.name, view]))
  const ordered = new Set<View>()
  const place = (view: View, above: ReadonlyArray<string>): void => {
    if (above.includes(view.name))
      throw new Error(`Views read each other: ${[...above, view.name].join(", ")}`)
    for (const used of view.uses) {
      const below = byName.get(used)
      if (below === undefined) throw new Error(`View ${view.name} reads analytics.${used}, which has no file`)
      place(below, [...above, view.name])
    }
    ordered.add(view)
  }
  for (const view of views) place(view, [])
  return [...ordered]
}

/** Reads the views of this version of the program, each after those that it reads. A file's folder has no meaning. */
export const readViews = async (directory: URL): Promise<ReadonlyArray<View>> => {
  const root = fileURLToPath(directory)
  const files = (await readdir(root, { recursive: true })).filter(file => file.endsWith(".sql"))
  const views = files.map(async file =>
    toView(basename(file, ".sql"), await readFile(join(root, file), "utf8")),
  )
  return inOrder((await Promise.all(views)).sort((one, other) => (one.name < other.name ? -1 : 1)))
}

/** Object of the database with a name of `analytics`. */
interface Installed {
  readonly name: string
  /** Hash that `migrate` recorded; null if it made no view of that name. */
  readonly recorded: string | null
  /** Hash of the definition; null if there is no view of that name. */
  readonly definition: string | null
  /** True if an object that is no view has that name. */
  readonly is_taken: boolean
}

const installedViews = (tx: postgres.TransactionSql) => tx<Array<Installed>>`
  SELECT coalesce(v.name, c.relname) AS name, v.definition_hash AS recorded,
    CASE c.relkind WHEN 'v' THEN md5(pg_get_viewdef(c.oid)) END AS definition,
    coalesce(c.relkind <> 'v', false) AS is_taken
  FROM sync.views v
  FULL JOIN (
    SELECT oid, relname::text, relkind FROM pg_class WHERE relnamespace = to_regnamespace('analytics')
  ) c ON c.relname = v.name`

/** Lists our views that exist. */
export const ownViews = async (tx: postgres.TransactionSql): Promise<ReadonlyArray<string>> =>
  (await installedViews(tx))
    .filter(row => row.recorded !== null && row.definition !== null)
    .map(row => row.name)

export interface ViewPlan {
  /** Views to create, in order: new, changed, dropped or altered by hand, and our views that read these. */
  readonly create: ReadonlyArray<View>
  /** Views to drop before: those of `create` that exist, and those that this version has no more. */
  readonly drop: ReadonlyArray<string>
  readonly gone: ReadonlyArray<string>
}

/**
 * Compares the database with `views`. The definition that Postgres prints shows a view that was altered by hand, so the
 * search path must be empty here and wherever a hash is recorded. Another major version may print it differently: then the
 * view is re-created once, which does no harm.
 */
export const planViews = async (
  tx: postgres.TransactionSql,
  views: ReadonlyArray<View>,
): Promise<ViewPlan> => {
  const installed = new Map((await installedViews(tx)).map(row => [row.name, row]))
  const exists = (name: string) => (installed.get(name)?.definition ?? null) !== null
  const create = new Set<string>()
  for (const { name, hash, uses } of views) {
    const current = installed.get(name)
    if (current?.is_taken || current?.recorded === null)
      throw new ConfigurationError({
        message: `analytics.${name} was not made by this program: rename or drop it, then run migrate again`,
      })
    const isCurrent = exists(name) && current?.recorded === `${hash} ${current?.definition}`
    if (!isCurrent || uses.some(used => create.has(used))) create.add(name)
  }
  const brought = new Set(views.map(view => view.name))
  const gone = [...installed.values()]
    .filter(row => row.recorded !== null && !brought.has(row.name))
    .map(row => row.name)
  return {
    create: views.filter(view => create.has(view.name)),
    drop: [...create, ...gone].filter(exists),
    gone,
  }
}

/** Lists foreign objects that depend on these views: views, rules, triggers, functions, columns of a view's type. */
const dependents = (tx: postgres.TransactionSql, names: ReadonlyArray<string>) => tx<Array<{ name: string }>>`
  WITH doomed AS (
    SELECT c.oid, c.reltype, t.typarray FROM pg_class c JOIN pg_type t ON t.oid = c.reltype
    WHERE c.relnamespace = 'analytics'::regnamespace AND c.relname IN ${tx(names)}
  )
  SELECT DISTINCT CASE rule.rulename WHEN '_RETURN' THEN rule.ev_class::regclass::text
    ELSE pg_describe_object(d.classid, d.objid, 0) END AS name
  FROM doomed
  JOIN pg_depend d ON d.deptype IN ('n', 'a')
    AND ((d.refclassid = 'pg_class'::regclass AND d.refobjid = doomed.oid)
      OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (doomed.reltype, doomed.typarray)))
  LEFT JOIN pg_rewrite rule ON d.classid = 'pg_rewrite'::regclass AND rule.oid = d.objid
  WHERE rule.oid IS NULL OR rule.rulename <> '_RETURN' OR rule.ev_class NOT IN (SELECT oid FROM doomed)
  ORDER BY 1`

/** Drops our views, and returns the rights of other roles on them. Stops if a foreign object depends on one. */
export const dropViews = async (
  tx: postgres.TransactionSql,
  names: ReadonlyArray<string>,
): Promise<Grants> => {
  if (names.length === 0) return NO_GRANTS
  const others = (await dependents(tx, names)).map(row => row.name)
  if (others.length > 0)
    throw new ConfigurationError({
      message: `${others.join(", ")} needs a view that must be re-created (nothing was changed): keep its definition, drop it, run migrate, create it again`,
    })
  const grants = await captureGrants(tx, names)
  // One statement, so that the order among them does not matter.
  await tx.unsafe(`DROP VIEW ${names.map(name => `analytics.${name}`).join(", ")}`)
  return grants
}

/** Creates the schema if a person has dropped it. Asks first, because the creation needs a right of its own. */
const makeSchema = async (tx: postgres.TransactionSql): Promise<void> => {
  const [schema] = await tx<Array<{ exists: boolean }>>`
    SELECT to_regnamespace('analytics') IS NOT NULL AS exists`
  if (!schema?.exists) await tx`CREATE SCHEMA analytics`
}

/** Carries out a plan. `before` is what an earlier drop in the same transaction returned. Returns notes. */
export const applyViews = async (
  tx: postgres.TransactionSql,
  plan: ViewPlan,
  before: Grants,
): Promise<ReadonlyArray<string>> => {
  const { views, grants } = await dropViews(tx, plan.drop)
  if (plan.create.length > 0) await makeSchema(tx)
  for (const { name, hash, statements } of plan.create) {
    await tx.unsafe(statements)
    await tx`
      INSERT INTO sync.views (name, definition_hash)
      VALUES (${name}, ${`${hash} `} || md5(pg_get_viewdef(${`analytics.${name}`}::regclass)))
      ON CONFLICT (name) DO UPDATE SET definition_hash = excluded.definition_hash`
  }
  if (plan.gone.length > 0) await tx`DELETE FROM sync.views WHERE name IN ${tx(plan.gone)}`
  return restoreGrants(tx, {
    views: [...before.views, ...views],
    grants: [...before.grants, ...grants],
  })
}

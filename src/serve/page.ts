import { createHash } from "node:crypto"
import { ago } from "../Health.ts"
import type { Kind } from "../Scheduler.ts"
import { type Board, reasonsOf, type StreamEntry } from "./board.ts"
import { SCRIPT, STYLE } from "./pageStyle.ts"

/** The status page: whole HTML made here, so that it says the same without JavaScript. */

const sha256 = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** Nothing may be loaded, sent or embedded but the page's own style and script, and the page again. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src ${sha256(STYLE)}`,
  `script-src ${sha256(SCRIPT)}`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
}

const escape = (text: string): string => text.replace(/[&<>"']/g, character => ENTITIES[character]!)

const count = new Intl.NumberFormat("en-US")

const ZERO = '<span class="zero">0</span>'

const number = (value: number, mark = "") =>
  value === 0 ? ZERO : `<span>${mark}${count.format(value)}</span>`

const clock = (iso: string) => `<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)}</time>`

const seconds = (from: string, to: string) =>
  Math.max(0, (new Date(to).getTime() - new Date(from).getTime()) / 1000)

const CHIPS: Readonly<Record<string, readonly [kind: string, words: string]>> = {
  complete: ["good", "complete"],
  complete_with_rejects: ["warn", "complete, with rejects"],
  failed: ["bad", "failed"],
  dead: ["bad", "died"],
  interrupted: ["warn", "interrupted"],
  running: ["", "running"],
  waiting: ["", "waits"],
}

const chip = (status: string) => {
  const [kind, words] = CHIPS[status] ?? ["", status]
  return `<span class="chip ${kind}">${escape(words)}</span>`
}

interface Column {
  readonly name: string
  readonly isNumber?: boolean
}

/** Of the cells after the first, those up to here stay on a phone even where they say 0: rows, or records read. */
const FIGURES_KEPT = 3

/** A table whose first column names its rows. Roles are said aloud: the cards on a phone would lose them. */
const table = (
  caption: string,
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
) => {
  const kind = ({ isNumber }: Column) => (isNumber ? ' class="number"' : "")
  const head = columns.map(column => `<th role="columnheader" scope="col"${kind(column)}>${column.name}</th>`)
  const body = rows.map(cells => {
    const [first, ...others] = cells
    const rest = others.map((cell, i) => {
      const column = columns[i + 1]!
      // On a phone what says nothing is left out, but how much there is at all.
      const isNothing = cell === "" || (cell === ZERO && i > FIGURES_KEPT)
      const classes = [column.isNumber ? "number" : "", isNothing ? "nothing" : ""].filter(
        name => name !== "",
      )
      const kinds = classes.length === 0 ? "" : ` class="${classes.join(" ")}"`
      return `<td role="cell" data-label="${column.name}"${kinds}><div>${cell}</div></td>`
    })
    return `<tr role="row"><th role="rowheader" scope="row">${first}</th>${rest.join("")}</tr>`
  })
  return `<table role="table"><caption>${caption}</caption><thead role="rowgroup"><tr role="row">${head.join("")}</tr></thead>
<tbody role="rowgroup">${body.join("\n")}</tbody></table>`
}

/** Nothing is wrong, but the first pass is not over. */
const isBeginning = (board: Board): boolean =>
  board.running !== null &&
  board.databaseProblem === null &&
  board.streams.every(({ problem }) => problem === null || problem.kind === "never")

const verdictOf = (board: Board): string => {
  const problems = board.streams.filter(({ problem }) => problem !== null).length
  if (board.isStopping) return "Stopping"
  if (board.databaseProblem !== null) return "The database cannot be used"
  if (problems === 0) return "The figures can be trusted"
  if (isBeginning(board)) return "Not complete yet"
  return problems === 1 ? "1 stream needs attention" : `${problems} streams need attention`
}

const verdict = (board: Board): string => {
  const isGood = reasonsOf(board).length === 0
  const oldest = Math.max(0, ...board.streams.map(({ ageSeconds }) => ageSeconds ?? 0))
  const isCalm = !isGood && isBeginning(board)
  const detail =
    board.databaseProblem !== null
      ? escape(board.databaseProblem)
      : isGood
        ? `Every stream was read to its end, the oldest ${ago(oldest)} ago.`
        : isCalm
          ? "The first pass is under way: what is missing is still to come."
          : "What is the matter, and what to do, is below."
  const look = isGood ? "good" : isCalm ? "calm" : "bad"
  return `<div class="verdict ${look}"><h1>${verdictOf(board)}</h1><p>${detail}</p></div>`
}

const fact = (name: string, value: string, more = "") =>
  `<div><dt>${name}</dt><dd>${value}${more === "" ? "" : `<small>${more}</small>`}</dd></div>`

const due = (name: string, iso: string) =>
  fact(name, `<time datetime="${iso}">${iso.slice(11, 16)}</time>`, `${iso.slice(0, 10)}, UTC`)

const KINDS_IN_WORDS: Readonly<Record<Kind, string>> = { incremental: "incremental run", full: "full pass" }

const facts = (board: Board): string => {
  const rejects = board.streams.reduce((sum, { status }) => sum + (status?.rejects ?? 0), 0)
  const leftOver = board.streams.reduce((sum, { status }) => sum + (status?.leftOver ?? 0), 0)
  const now =
    board.running === null
      ? fact("Now", "idle")
      : fact("Now", KINDS_IN_WORDS[board.running.kind], `for ${ago(seconds(board.running.since, board.now))}`)
  return `<dl class="facts">${[
    now,
    due("Next run", board.next.incremental),
    due("Next full pass", board.next.full),
    fact("Open rejects", number(rejects), rejects === 0 ? "" : "see paycombat-sync rejects list"),
    fact("Look-ups left over", number(leftOver), leftOver === 0 ? "" : "first in the next run"),
    fact("Ticks dropped", number(board.droppedTicks), `up for ${ago(seconds(board.startedAt, board.now))}`),
  ].join("")}</dl>`
}

const named = ({ account, stream }: Pick<StreamEntry, "account" | "stream">, isNamed: boolean) =>
  escape(isNamed ? `${account}/${stream}` : stream)

const problems = (board: Board, isNamed: boolean): string => {
  const items = board.streams.flatMap(entry =>
    entry.problem === null
      ? []
      : [`<li><strong>${named(entry, isNamed)}</strong>: ${escape(entry.problem.message)}</li>`],
  )
  return items.length === 0 ? "" : `<h2>What is the matter</h2><ul class="problems">${items.join("")}</ul>`
}

const progress = (board: Board, isNamed: boolean): string => {
  if (board.running === null || board.running.streams.length === 0) return ""
  const rows = board.running.streams.map(told => {
    const { total, extracted, status } = told
    const label = `aria-label="${named(told, isNamed)}"`
    const isUnder = status === "running"
    const bar =
      total !== undefined && total > 0
        ? `<progress ${label} max="${total}" value="${Math.min(extracted, total)}"></progress>`
        : isUnder
          ? `<progress ${label}></progress>`
          : ""
    return [
      named(told, isNamed),
      chip(status),
      bar,
      number(extracted) + (total === undefined ? "" : ` of ${count.format(total)}`),
      number(told.inserted),
      number(told.updated),
      number(told.rejected),
    ]
  })
  const columns = ["Stream", "State", "Progress", "Read", "New", "Changed", "Rejected"]
  return `<h2>Under way</h2>${table(
    `${board.running.kind === "full" ? "A" : "An"} ${KINDS_IN_WORDS[board.running.kind]}, begun ${ago(seconds(board.running.since, board.now))} ago`,
    columns.map((name, i) => ({ name, isNumber: i > 2 })),
    rows,
  )}`
}

const MODES: Readonly<Record<string, string>> = {
  full: "whole list",
  incremental: "what is new",
  lookup: "look-ups",
}

const streams = (board: Board, isNamed: boolean): string => {
  const rows = board.streams.map(entry => {
    const { status, ageSeconds } = entry
    if (status === null) return [named(entry, isNamed), chip("waiting"), "never", "", "", "", "", ""]
    const mark = status.isEstimate ? "≈ " : ""
    return [
      named(entry, isNamed),
      entry.problem === null
        ? chip(status.lastRunStatus)
        : `<span class="chip bad">${entry.problem.kind.replace("_", " ")}</span>`,
      ageSeconds === null ? "never" : `${ago(ageSeconds)} ago`,
      MODES[status.lastRunMode] ?? status.lastRunMode,
      number(status.rows, mark),
      number(status.rejects),
      number(status.removed, mark),
      number(status.leftOver),
    ]
  })
  const columns = ["Stream", "State", "Complete", "Last read", "Rows", "Rejects", "Removed", "Left over"]
  return `<h2>Streams</h2>${table(
    `Stale after ${ago(board.limits.maxAgeSeconds)} without a complete run`,
    columns.map((name, i) => ({ name, isNumber: i > 3 })),
    rows,
  )}`
}

const runs = (board: Board): string => {
  if (board.runs.length === 0) return "<h2>Latest runs</h2><p>None yet.</p>"
  const rows = board.runs.map(run => [
    clock(new Date(run.startedAt).toISOString()),
    chip(run.status),
    ago(seconds(run.startedAt, run.finishedAt ?? board.now)),
    number(run.extracted),
    number(run.changed),
    number(run.rejected),
    number(run.requests),
    escape(run.holder),
  ])
  const columns = ["Begun", "State", "Took", "Read", "New or changed", "Rejected", "Requests", "By"]
  return `<h2>Latest runs</h2>${table(
    "Of all accounts, times in UTC",
    columns.map((name, i) => ({ name, isNumber: i > 1 && i < 7 })),
    rows,
  )}`
}

/** The whole page. Every part that changes has an id, so that the script can exchange it. */
export const page = (board: Board): string => {
  const isNamed = new Set(board.streams.map(({ account }) => account)).size > 1
  const part = (id: string, content: string, more = "") => `<div id="${id}" data-live${more}>${content}</div>`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${verdictOf(board)} – paycombat-sync</title>
<style>${STYLE}</style>
</head>
<body>
<p id="lost" role="alert" hidden>No answer from paycombat-sync: what you see is old.</p>
<div class="wide">
<header><p class="name">paycombat-sync <span>${escape(board.version)}</span></p></header>
<main>
${part("verdict", verdict(board), ' role="status"')}
${part("facts", facts(board))}
${part("problems", problems(board, isNamed))}
${part("progress", progress(board, isNamed))}
${part("streams", streams(board, isNamed))}
${part("runs", runs(board))}
</main>
<footer>${part("updated", `Looked at <time datetime="${board.now}">${board.now.slice(0, 19).replace("T", " ")}</time> UTC.`)}
<p><a href="/status.json">As JSON</a> <a href="/metrics">Metrics</a> <a href="/readyz">Readiness</a> <a href="/healthz">Health</a></p></footer>
</div>
<script>${SCRIPT}</script>
</body>
</html>
`
}

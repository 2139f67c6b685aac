import { createHash } from "node:crypto"
import { ago, type Level, limitInWords } from "../core/verdict.ts"
import type { Kind } from "../status/scheduler.ts"
import { boardVerdict } from "./boardVerdict.ts"
import { chip, clock, count, escape, number, seconds, table } from "./pageParts.ts"
import { SCRIPT, STYLE } from "./pageStyle.ts"
import type { Board, Running, StreamEntry } from "./snapshot.ts"

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

/** Nothing is wrong, but the first pass is not over. */
const isBeginning = (board: Board): boolean =>
  board.running.length > 0 &&
  board.databaseProblem === null &&
  board.streams.every(({ problem }) => problem === null || problem.kind === "never")

/** The verdict in one sentence, the same as everywhere; before it what only this process knows. */
const headline = (board: Board): string => (board.isStopping ? "Stopping" : boardVerdict(board).sentence)

const verdict = (board: Board): string => {
  const { level } = boardVerdict(board)
  const oldest = Math.max(0, ...board.streams.map(({ ageSeconds }) => ageSeconds ?? 0))
  const isCalm = level === "bad" && isBeginning(board)
  const detail =
    board.databaseProblem !== null
      ? escape(board.databaseProblem)
      : isCalm
        ? "The first pass is under way: what is missing is still to come."
        : level === "bad"
          ? "The findings and what to do about them are below."
          : `Every stream was read to its end, the oldest ${ago(oldest)} ago.`
  const look = board.isStopping ? "bad" : isCalm ? "calm" : level
  return `<div class="verdict ${look}"><h1>${escape(headline(board))}</h1><p>${detail}</p></div>`
}

const fact = (name: string, value: string, more = "") =>
  `<div><dt>${name}</dt><dd>${value}${more === "" ? "" : `<small>${more}</small>`}</dd></div>`

const due = (name: string, iso: string) =>
  fact(name, `<time datetime="${iso}">${iso.slice(11, 16)}</time>`, `${iso.slice(0, 10)}, UTC`)

const KINDS_IN_WORDS: Readonly<Record<Kind, string>> = { incremental: "incremental run", full: "full pass" }

/** What is being done: by account where there are several, and most of the time they do the same. */
const now = (board: Board): string => {
  const [first, ...others] = board.running
  if (first === undefined) return fact("Now", "idle")
  const since = (run: Running) => `for ${ago(seconds(run.since, board.now))}`
  if (board.accounts.length === 1) return fact("Now", KINDS_IN_WORDS[first.kind], since(first))
  const isAlike = others.every(({ kind }) => kind === first.kind)
  const words = isAlike
    ? `${KINDS_IN_WORDS[first.kind]}${others.length === 0 ? "" : ` × ${others.length + 1}`}`
    : `${others.length + 1} runs`
  return fact("Now", words, `of ${board.running.length} of ${board.accounts.length} accounts`)
}

const facts = (board: Board): string => {
  const rejects = board.streams.reduce((sum, { status }) => sum + (status?.rejects ?? 0), 0)
  const leftOver = board.streams.reduce((sum, { status }) => sum + (status?.leftOver ?? 0), 0)
  const unanswered = board.streams.reduce((sum, { status }) => sum + (status?.unanswered ?? 0), 0)
  const unmapped = board.streams.map(({ status }) => (status === null ? 0 : status.unmapped))
  const unmappedCount = unmapped.reduce<number>((sum, records) => sum + (records ?? 0), 0)
  const dropped = Object.values(board.droppedTicks).reduce((sum, ticks) => sum + ticks, 0)
  return `<dl class="facts">${[
    now(board),
    due("Next run", board.next.incremental),
    due("Next full pass", board.next.full),
    fact("Open rejects", number(rejects), rejects === 0 ? "" : "see paycombat-sync rejects list"),
    fact("Look-ups left over", number(leftOver), leftOver === 0 ? "" : "first in the next run"),
    fact("Unanswered", number(unanswered), unanswered === 0 ? "" : "asked again in the next run"),
    fact(
      "Without a direction",
      unmapped.includes(null) ? "not counted" : number(unmappedCount),
      unmappedCount === 0 ? "" : "in no settlement or balance: see analytics.unmapped_event_type",
    ),
    fact("Ticks dropped", number(dropped), `up for ${ago(seconds(board.startedAt, board.now))}`),
  ].join("")}</dl>`
}

const named = ({ account, stream }: Pick<StreamEntry, "account" | "stream">, isNamed: boolean) =>
  escape(isNamed ? `${account}/${stream}` : stream)

const FINDINGS: Readonly<Record<Level, { readonly title: string; readonly name: string }>> = {
  bad: { title: "What is the matter", name: "problems" },
  attention: { title: "Exceptions", name: "problems exceptions" },
  good: { title: "Counted beside the figures", name: "problems notes" },
}

const findings = (board: Board, isNamed: boolean): string =>
  (["bad", "attention", "good"] as const)
    .map(level => {
      const items = board.verdicts.flatMap(({ account, findings }) =>
        findings.flatMap(({ stream, text, ...finding }) =>
          finding.level === level
            ? [`<li><strong>${subject(account, stream, isNamed)}</strong>: ${escape(text)}</li>`]
            : [],
        ),
      )
      const { title, name } = FINDINGS[level]
      return items.length === 0 ? "" : `<h2>${title}</h2><ul class="${name}">${items.join("")}</ul>`
    })
    .join("")

const subject = (account: string, stream: string | null, isNamed: boolean) =>
  stream === null ? escape(account) : named({ account, stream }, isNamed)

const LOOKS: Readonly<Record<Level, string>> = { good: "good", attention: "warn", bad: "bad" }

/** One line for each account, where there are several: whose figures can be trusted, and who is at work. */
const accounts = (board: Board): string => {
  const rows = board.accounts.map(account => {
    const own = board.streams.filter(entry => entry.account === account)
    const run = board.running.find(one => one.account === account)
    const ages = own.map(({ ageSeconds }) => ageSeconds)
    const oldest = ages.length === 0 || ages.includes(null) ? null : Math.max(...ages.map(age => age ?? 0))
    const verdict = board.verdicts.find(one => one.account === account)
    return [
      escape(account),
      verdict === undefined
        ? chip("unknown")
        : `<span class="chip ${LOOKS[verdict.level]}">${verdict.level}</span> ${escape(verdict.sentence)}`,
      run === undefined ? "idle" : `${KINDS_IN_WORDS[run.kind]}, for ${ago(seconds(run.since, board.now))}`,
      oldest === null ? "never" : `${ago(oldest)} ago`,
      number(own.reduce((sum, { status }) => sum + (status?.rejects ?? 0), 0)),
      number(own.reduce((sum, { status }) => sum + (status?.leftOver ?? 0), 0)),
      number(board.droppedTicks[account] ?? 0),
    ]
  })
  const columns = ["Account", "State", "Now", "Oldest complete", "Rejects", "Left over", "Ticks dropped"]
  return `<h2>Accounts</h2>${table(
    "Each has its own runs: none waits for another",
    columns.map((name, i) => ({ name, isNumber: i > 3 })),
    rows,
  )}`
}

const progressOf = (board: Board, run: Running, isNamed: boolean): string => {
  const rows = run.streams.map(told => {
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
  const what = `${run.kind === "full" ? "A" : "An"} ${KINDS_IN_WORDS[run.kind]}`
  return table(
    `${what}${isNamed ? ` of ${escape(run.account)}` : ""}, begun ${ago(seconds(run.since, board.now))} ago`,
    columns.map((name, i) => ({ name, isNumber: i > 2 })),
    rows,
  )
}

const progress = (board: Board, isNamed: boolean): string => {
  const runs = board.running.filter(({ streams }) => streams.length > 0)
  if (runs.length === 0) return ""
  return `<h2>Under way</h2><div class="runs">${runs.map(run => progressOf(board, run, isNamed)).join("\n")}</div>`
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
    `Stale after ${limitInWords(board.limits.maxAgeSeconds)} without a complete run`,
    columns.map((name, i) => ({ name, isNumber: i > 3 })),
    rows,
  )}`
}

const runs = (board: Board, isNamed: boolean): string => {
  if (board.runs.length === 0) return "<h2>Latest runs</h2><p>None yet.</p>"
  const rows = board.runs.map(run => [
    clock(new Date(run.startedAt).toISOString()),
    ...(isNamed ? [escape(run.accounts.join(", "))] : []),
    chip(run.status),
    ago(seconds(run.startedAt, run.finishedAt ?? board.now)),
    number(run.extracted),
    number(run.changed),
    number(run.rejected),
    number(run.requests),
    escape(run.holder),
  ])
  const columns = [
    { name: "Begun" },
    ...(isNamed ? [{ name: "Account" }] : []),
    { name: "State" },
    ...["Took", "Read", "New or changed", "Rejected", "Requests"].map(name => ({ name, isNumber: true })),
    { name: "By" },
  ]
  return `<h2>Latest runs</h2>${table("Of all accounts, times in UTC", columns, rows)}`
}

const looked = ({ databaseProblem, figuresAt, now }: Board): string => {
  const time = (iso: string) => `<time datetime="${iso}">${iso.slice(0, 19).replace("T", " ")}</time> UTC`
  const isOld = databaseProblem !== null && figuresAt !== null
  return `Looked at ${time(now)}${isOld ? `; the figures are of ${time(figuresAt)}` : ""}.`
}

/** The whole page. Every part that changes has an id, so that the script can exchange it. */
export const page = (board: Board): string => {
  const isNamed = board.accounts.length > 1
  const part = (id: string, content: string, more = "") => `<div id="${id}" data-live${more}>${content}</div>`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(headline(board))} – paycombat-sync</title>
<style>${STYLE}</style>
</head>
<body>
<p id="lost" role="alert" hidden>No answer from paycombat-sync: what you see is old.</p>
<div class="wide">
<header><p class="name">paycombat-sync <span>${escape(board.version)}</span></p></header>
<main>
${part("verdict", verdict(board), ' role="status"')}
${part("facts", facts(board))}
${part("accounts", isNamed ? accounts(board) : "")}
${part("problems", findings(board, isNamed))}
${part("progress", progress(board, isNamed))}
${part("streams", streams(board, isNamed))}
${part("runs", runs(board, isNamed))}
</main>
<footer>${part("updated", looked(board))}
<p><a href="/status.json">As JSON</a> <a href="/metrics">Metrics</a> <a href="/readyz">Readiness</a> <a href="/healthz">Health</a></p></footer>
</div>
<script>${SCRIPT}</script>
</body>
</html>
`
}

import { createHash } from "node:crypto"
import { ago, type Level, limitInWords } from "../core/verdict.ts"
import { grouped } from "../core/words.ts"
import type { Kind } from "../status/scheduler.ts"
import { chip, clock, escape, number, seconds, table } from "./pageParts.ts"
import { SCRIPT, STYLE } from "./pageStyle.ts"
import { type Running, type Snapshot, type StreamEntry, snapshotVerdict } from "./snapshot.ts"

/** Renders the status page as complete HTML, so that it works without JavaScript. */

const sha256 = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** Content security policy: only the page's own style and script may run, and only this page may be fetched. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src ${sha256(STYLE)}`,
  `script-src ${sha256(SCRIPT)}`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

/** True during the first pass if nothing is wrong apart from missing streams. */
const isBeginning = (snapshot: Snapshot): boolean =>
  snapshot.running.length > 0 &&
  snapshot.databaseProblem === null &&
  snapshot.streams.every(({ problem }) => problem === null || problem.kind === "never")

/** The verdict in one sentence, the same everywhere. "Stopping" comes first, because only this process knows it. */
const headline = (snapshot: Snapshot): string =>
  snapshot.isStopping ? "Stopping" : snapshotVerdict(snapshot).sentence

const verdict = (snapshot: Snapshot): string => {
  const { level } = snapshotVerdict(snapshot)
  const oldest = Math.max(0, ...snapshot.streams.map(({ ageSeconds }) => ageSeconds ?? 0))
  const isCalm = level === "bad" && isBeginning(snapshot)
  const detail =
    snapshot.databaseProblem !== null
      ? escape(snapshot.databaseProblem)
      : isCalm
        ? "The first pass is in progress. Missing streams will follow."
        : level === "bad"
          ? "The findings below say what to do."
          : `Every stream was read completely, the oldest ${ago(oldest)} ago.`
  const look = snapshot.isStopping ? "bad" : isCalm ? "calm" : level
  return `<div class="verdict ${look}"><h1>${escape(headline(snapshot))}</h1><p>${detail}</p></div>`
}

const fact = (name: string, value: string, more = "") =>
  `<div><dt>${name}</dt><dd>${value}${more === "" ? "" : `<small>${more}</small>`}</dd></div>`

const due = (name: string, iso: string) =>
  fact(name, `<time datetime="${iso}">${iso.slice(11, 16)}</time>`, `${iso.slice(0, 10)}, UTC`)

const KINDS_IN_WORDS: Readonly<Record<Kind, string>> = { incremental: "incremental run", full: "full pass" }

/** Describes the current work: one kind and a count if all accounts do the same, else the number of runs. */
const now = (snapshot: Snapshot): string => {
  const [first, ...others] = snapshot.running
  if (first === undefined) return fact("Now", "idle")
  const since = (run: Running) => `for ${ago(seconds(run.since, snapshot.now))}`
  if (snapshot.accounts.length === 1) return fact("Now", KINDS_IN_WORDS[first.kind], since(first))
  const isAlike = others.every(({ kind }) => kind === first.kind)
  const words = isAlike
    ? `${KINDS_IN_WORDS[first.kind]}${others.length === 0 ? "" : ` × ${others.length + 1}`}`
    : `${others.length + 1} runs`
  return fact("Now", words, `of ${snapshot.running.length} of ${snapshot.accounts.length} accounts`)
}

const sumOf = (entries: ReadonlyArray<StreamEntry>, name: "rejects" | "leftOver" | "unanswered") =>
  entries.reduce((sum, { status }) => sum + (status?.[name] ?? 0), 0)

const facts = (snapshot: Snapshot): string => {
  const rejects = sumOf(snapshot.streams, "rejects")
  const leftOver = sumOf(snapshot.streams, "leftOver")
  const unanswered = sumOf(snapshot.streams, "unanswered")
  const unmapped = snapshot.streams.map(({ status }) => (status === null ? 0 : status.unmapped))
  const unmappedCount = unmapped.reduce<number>((sum, records) => sum + (records ?? 0), 0)
  const dropped = Object.values(snapshot.droppedTicks).reduce((sum, ticks) => sum + ticks, 0)
  return `<dl class="facts">${[
    now(snapshot),
    due("Next run", snapshot.next.incremental),
    due("Next full pass", snapshot.next.full),
    fact("Open rejects", number(rejects), rejects === 0 ? "" : "see paycombat-sync rejects list"),
    fact("Look-ups left over", number(leftOver), leftOver === 0 ? "" : "first in the next run"),
    fact("Unanswered", number(unanswered), unanswered === 0 ? "" : "asked again in the next run"),
    fact(
      "Without a direction",
      unmapped.includes(null) ? "not counted" : number(unmappedCount),
      unmappedCount === 0 ? "" : "in no settlement or balance: see analytics.unmapped_event_type",
    ),
    fact("Ticks dropped", number(dropped), `up for ${ago(seconds(snapshot.startedAt, snapshot.now))}`),
  ].join("")}</dl>`
}

const named = ({ account, stream }: Pick<StreamEntry, "account" | "stream">, isNamed: boolean) =>
  escape(isNamed ? `${account}/${stream}` : stream)

const FINDINGS: Readonly<Record<Level, { readonly title: string; readonly name: string }>> = {
  bad: { title: "Problems", name: "problems" },
  attention: { title: "Exceptions", name: "problems exceptions" },
  good: { title: "Notes", name: "problems notes" },
}

const findings = (snapshot: Snapshot, isNamed: boolean): string =>
  (["bad", "attention", "good"] as const)
    .map(level => {
      const items = snapshot.verdicts.flatMap(({ account, findings }) =>
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

const accounts = (snapshot: Snapshot): string => {
  const rows = snapshot.accounts.map(account => {
    const own = snapshot.streams.filter(entry => entry.account === account)
    const run = snapshot.running.find(one => one.account === account)
    const ages = own.map(({ ageSeconds }) => ageSeconds)
    const oldest = ages.length === 0 || ages.includes(null) ? null : Math.max(...ages.map(age => age ?? 0))
    const verdict = snapshot.verdicts.find(one => one.account === account)
    return [
      escape(account),
      verdict === undefined
        ? chip("unknown")
        : `<span class="chip ${LOOKS[verdict.level]}">${verdict.level}</span> ${escape(verdict.sentence)}`,
      run === undefined
        ? "idle"
        : `${KINDS_IN_WORDS[run.kind]}, for ${ago(seconds(run.since, snapshot.now))}`,
      oldest === null ? "never" : `${ago(oldest)} ago`,
      number(sumOf(own, "rejects")),
      number(sumOf(own, "leftOver")),
      number(snapshot.droppedTicks[account] ?? 0),
    ]
  })
  const columns = ["Account", "State", "Now", "Oldest complete", "Rejects", "Left over", "Ticks dropped"]
  return `<h2>Accounts</h2>${table(
    "Each account has its own runs and waits for no other",
    columns.map((name, i) => ({ name, isNumber: i > 3 })),
    rows,
  )}`
}

const progressOf = (snapshot: Snapshot, run: Running, isNamed: boolean): string => {
  const rows = run.streams.map(stream => {
    const { total, extracted, status } = stream
    const label = `aria-label="${named(stream, isNamed)}"`
    const isUnder = status === "running"
    const bar =
      total !== undefined && total > 0
        ? `<progress ${label} max="${total}" value="${Math.min(extracted, total)}"></progress>`
        : isUnder
          ? `<progress ${label}></progress>`
          : ""
    return [
      named(stream, isNamed),
      chip(status),
      bar,
      number(extracted) + (total === undefined ? "" : ` of ${grouped.format(total)}`),
      number(stream.inserted),
      number(stream.updated),
      number(stream.rejected),
    ]
  })
  const columns = ["Stream", "State", "Progress", "Read", "New", "Changed", "Rejected"]
  const kind = `${run.kind === "full" ? "A" : "An"} ${KINDS_IN_WORDS[run.kind]}`
  return table(
    `${kind}${isNamed ? ` of ${escape(run.account)}` : ""}, started ${ago(seconds(run.since, snapshot.now))} ago`,
    columns.map((name, i) => ({ name, isNumber: i > 2 })),
    rows,
  )
}

const progress = (snapshot: Snapshot, isNamed: boolean): string => {
  const runs = snapshot.running.filter(({ streams }) => streams.length > 0)
  if (runs.length === 0) return ""
  return `<h2>In progress</h2><div class="runs">${runs.map(run => progressOf(snapshot, run, isNamed)).join("\n")}</div>`
}

const MODES: Readonly<Record<string, string>> = {
  full: "full",
  incremental: "incremental",
  lookup: "look-ups",
}

const streams = (snapshot: Snapshot, isNamed: boolean): string => {
  const rows = snapshot.streams.map(entry => {
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
    `Stale after ${limitInWords(snapshot.limits.maxAgeSeconds)} without a complete run`,
    columns.map((name, i) => ({ name, isNumber: i > 3 })),
    rows,
  )}`
}

const runs = (snapshot: Snapshot, isNamed: boolean): string => {
  if (snapshot.runs.length === 0) return "<h2>Latest runs</h2><p>None yet.</p>"
  const rows = snapshot.runs.map(run => [
    clock(new Date(run.startedAt).toISOString()),
    ...(isNamed ? [escape(run.accounts.join(", "))] : []),
    chip(run.status),
    ago(seconds(run.startedAt, run.finishedAt ?? snapshot.now)),
    number(run.extracted),
    number(run.changed),
    number(run.rejected),
    number(run.requests),
    escape(run.holder),
  ])
  const columns = [
    { name: "Started" },
    ...(isNamed ? [{ name: "Account" }] : []),
    { name: "State" },
    ...["Took", "Read", "New or changed", "Rejected", "Requests"].map(name => ({ name, isNumber: true })),
    { name: "By" },
  ]
  return `<h2>Latest runs</h2>${table("Of all accounts, times in UTC", columns, rows)}`
}

const readAt = ({ databaseProblem, figuresAt, now }: Snapshot): string => {
  const time = (iso: string) => `<time datetime="${iso}">${iso.slice(0, 19).replace("T", " ")}</time> UTC`
  const isOld = databaseProblem !== null && figuresAt !== null
  return `Page of ${time(now)}${isOld ? `; the figures are of ${time(figuresAt)}` : ""}.`
}

/** Renders the page. Every part that changes has an id, so that the script can replace it. */
export const page = (snapshot: Snapshot): string => {
  const isNamed = snapshot.accounts.length > 1
  const part = (id: string, content: string, more = "") => `<div id="${id}" data-live${more}>${content}</div>`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(headline(snapshot))} – paycombat-sync</title>
<style>${STYLE}</style>
</head>
<body>
<p id="lost" role="alert" hidden>No answer from paycombat-sync: this page is out of date.</p>
<div class="wide">
<header><p class="name">paycombat-sync <span>${escape(snapshot.version)}</span></p></header>
<main>
${part("verdict", verdict(snapshot), ' role="status"')}
${part("facts", facts(snapshot))}
${part("accounts", isNamed ? accounts(snapshot) : "")}
${part("problems", findings(snapshot, isNamed))}
${part("progress", progress(snapshot, isNamed))}
${part("streams", streams(snapshot, isNamed))}
${part("runs", runs(snapshot, isNamed))}
</main>
<footer>${part("updated", readAt(snapshot))}
<p><a href="/status.json">As JSON</a> <a href="/metrics">Metrics</a> <a href="/readyz">Readiness</a> <a href="/healthz">Health</a></p></footer>
</div>
<script>${SCRIPT}</script>
</body>
</html>
`
}

import { createHash } from "node:crypto"
import type { Level } from "../core/verdict.ts"
import { statusWords } from "../core/words.ts"
import type { ReportData, Row } from "../warehouse/report/types.ts"
import { gapsSection } from "./gaps.ts"
import { type Html, html, trusted } from "./html.ts"
import { balancesSection, settlementsSection } from "./money.ts"
import { STYLE } from "./style.ts"
import { listTable, table } from "./table.ts"
import { count, duration } from "./text.ts"
import { limitsText, trustOf } from "./trust.ts"

/** Renders the report as one HTML file that needs neither a network nor a script. */

/**
 * Symbols of the levels. Each has its own shape, so colour is not the only difference. They are drawn because not every
 * font has such signs.
 */
const SHAPES: Readonly<Record<Level, Html>> = {
  good: html`<path d="M1 7 5 11 13 2" fill="none" stroke="currentColor" stroke-width="2.5"/>`,
  attention: html`<path d="M7 1 14 13H0z" fill="currentColor"/><path d="M7 5v4m0 1.2v1.6" stroke="#fff" stroke-width="1.6"/>`,
  bad: html`<path d="M2 2 12 12M12 2 2 12" fill="none" stroke="currentColor" stroke-width="2.5"/>`,
}

const mark = (level: Level, text: string): Html =>
  html`<span class="mark ${level}"><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">${SHAPES[level]}</svg>${text}</span>`

/** Marks text between backticks as code to type. */
const prose = (text: string): ReadonlyArray<Html> =>
  text.split("`").map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : html`${part}`))

const verdict = (data: ReportData): Html => {
  const { level, sentence, findings } = data.verdict
  return html`<div class="verdict ${level}"><h2 id="trust">${mark(level, sentence)}</h2>
<p>As of <strong>${data.snapshotAt}</strong>; every figure is from one snapshot of that moment. ${prose(limitsText(data))}</p>
${
  findings.length === 0
    ? null
    : html`<ul>${findings.map(
        ({ level: grave, text }) =>
          html`<li><span class="hidden">${grave === "bad" ? "Serious: " : "Note: "}</span>${prose(text)}</li>\n`,
      )}</ul>`
}</div>`
}

const ago = (row: Row, seconds: string, time: string): Html | string =>
  row[time] == null
    ? "never"
    : html`<span>${row[time]} <small>(${duration(Number(row[seconds]))} ago)</small></span>`

/** Directions in words. */
const DIRECTIONS: Readonly<Record<string, string>> = { "1": "money in", "-1": "money out", "0": "neither" }

const freshness = (data: ReportData): Html => html`<section id="freshness"><h2>Freshness and completeness</h2>
${table({
  caption: "The data behind the figures, by stream. Times are UTC",
  empty: "no stream was ever read.",
  columns: [
    { title: "Stream", of: "stream" },
    { title: "Account", of: "account" },
    {
      title: "Can be trusted",
      of: row => {
        const level = trustOf(row, data.verdict)
        if (level === "retired") return mark("attention", "not synced any more")
        return mark(level, { good: "yes", attention: "mostly", bad: "no" }[level])
      },
    },
    { title: "Last complete", of: row => ago(row, "lag_seconds", "last_complete_at") },
    { title: "Last read whole", of: row => ago(row, "full_lag_seconds", "last_full_at") },
    {
      title: "Latest run",
      of: row => (row.last_run_status == null ? "never" : statusWords(row.last_run_status)),
    },
    { title: "Open rejects", of: row => count(row.open_rejects), kind: "count" },
  ],
  rows: data.freshness,
})}
${
  data.unmapped.total === 0
    ? null
    : html`<h3>Transactions without a known direction</h3>
${listTable(data.unmapped, data.isDemo, {
  caption:
    "Left out of every amount of settlements and balances: no rule says yet whether money comes in or goes out",
  columns: [
    { title: "Event type", of: "event_type", kind: "code" },
    { title: "Event name", of: "event_name", kind: "code" },
    { title: "Account", of: "account" },
    { title: "Currency", of: "currency" },
    { title: "Transactions", of: "transaction_count", kind: "count" },
    { title: "Amount, without sign", of: "amount", kind: "amount" },
  ],
})}
<p>For each kind, <code>paycombat-sync directions set TYPE NAME in|out|none</code> sets what it does to a balance.</p>`
}
${
  data.assumed.total === 0
    ? null
    : html`<h3>Transactions whose direction is assumed</h3>
${listTable(data.assumed, data.isDemo, {
  caption: "Counted by a rule that no person has confirmed: it may be wrong",
  columns: [
    { title: "Event type", of: "event_type", kind: "code" },
    { title: "Event name", of: "event_name", kind: "code" },
    { title: "Account", of: "account" },
    { title: "Currency", of: "currency" },
    { title: "Assumed", of: row => DIRECTIONS[row.direction ?? ""] ?? null },
    { title: "Transactions", of: "transaction_count", kind: "count" },
    { title: "Amount, without sign", of: "amount", kind: "amount" },
  ],
})}
<p><code>paycombat-sync directions confirm TYPE</code> confirms a rule that is right; <code>paycombat-sync directions set TYPE NAME in|out|none</code> replaces a wrong one. Tables with such money say <em>assumed</em>.</p>`
}</section>`

const scope = (data: ReportData): string =>
  [
    `${data.from} to ${data.to}`,
    data.accounts.length === 0 ? "no account" : `account ${data.accounts.join(", ")}`,
    data.currencies.length === 0 ? "all currencies" : `only ${data.currencies.join(", ")}`,
  ].join(" · ")

const daysAre = ({ timeZones }: ReportData): string => {
  const zones = new Set(Object.values(timeZones))
  if (zones.size < 2) return `Days are those of the reporting time zone ${[...zones][0] ?? "UTC"}.`
  const each = Object.entries(timeZones).map(([account, zone]) => `${account}: ${zone}`)
  return `Days are those of each account's reporting time zone (${each.join(", ")}).`
}

/** Content security policy. `default-src 'none'`: the page can load nothing, even if foreign text became markup. */
const policy = (): string => {
  const hash = createHash("sha256").update(STYLE).digest("base64")
  // The charts set their text with style attributes.
  return `default-src 'none'; style-src-elem 'sha256-${hash}'; style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'`
}

/** Renders a report as one self-contained HTML document. Every text of the data is escaped. */
export const page = (data: ReportData): string => {
  const isEmpty = data.freshness.length === 0
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${trusted(policy())}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="paycombat-sync ${data.version}">
<title>PayCombat report, ${data.snapshotAt}</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the figures</a>
<header>
<h1>PayCombat report</h1>
<p class="about">${scope(data)}</p>
${data.isDemo ? html`<p class="demo">Simulated data of the demo: no figure is real.</p>` : null}
</header>
<main id="main">
${verdict(data)}
${
  isEmpty
    ? null
    : html`<nav aria-label="Sections"><ul>
<li><a href="#freshness">Freshness</a></li><li><a href="#gaps">KYC gaps</a></li><li><a href="#settlements">Settlements</a></li><li><a href="#balances">Balances</a></li><li><a href="#notes">How to read it</a></li>
</ul></nav>
${freshness(data)}
${gapsSection(data)}
${settlementsSection(data)}
${balancesSection(data)}`
}
</main>
<footer>
<section id="notes"><h2>How to read it</h2>
<p>${daysAre(data)} Amounts have every digit that PayCombat sent, and are never added across currencies. Zeros are added up to the decimal places of the currency. Charts are rounded to pixels; the table of each chart has the figures. A printout holds the tables that were open when it was printed.</p>
<p>Figures are stale if they are older than twice the time between two scheduled syncs, and at least an hour. The view analytics.verdict decides this, and <code>paycombat-sync status</code> prints the same verdict.</p>
<p>The effect of a transaction type on a balance is <em>assumed</em> until a person has confirmed it: <code>paycombat-sync directions list</code> shows the rules, and <code>paycombat-sync directions confirm</code> confirms them.</p>
<p>No name, address or account number is in this report. Customers are identified by their id, so protect the file as personal data.</p>
<p>Written by paycombat-sync ${data.version} from the views of analytics. The same figures for programs: <code>paycombat-sync report --format json</code>; whole views: <code>--format csv</code>.</p>
</section>
</footer>
</body>
</html>
`.text
}

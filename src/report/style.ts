/** Style sheet of the report: dark on white, readable on paper, on a phone, and in an old browser. */
export const STYLE = `
:root { color-scheme: light; --ink: #1d1d1f; --soft: #52565c; --line: #d5d8dc; --ground: #f5f6f7; --link: #0b5394 }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body { margin: 0; background: #fff; color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Open Sans", Arial, sans-serif; overflow-wrap: break-word }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem }
header { padding-top: 1.5rem }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 }
h2 { font-size: 1.35rem; margin: 2.75rem 0 .5rem; padding-top: .75rem; border-top: 2px solid var(--ink) }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem }
p { margin: .5rem 0; max-width: 48rem }
a { color: var(--link) }
code { font: .9em/1.4 ui-monospace, "SF Mono", Menlo, Consolas, monospace }
p code, .wide { overflow-wrap: anywhere }
td small { white-space: nowrap }
.about { color: var(--soft); margin: .35rem 0 0 }
.skip { position: absolute; left: -99rem }
.skip:focus { left: 1rem; top: .5rem; padding: .5rem 1rem; background: #fff; outline: 2px solid var(--link) }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
nav ul { list-style: none; padding: 0; margin: 1rem 0; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem }
.demo { background: #fff3cd; border: 2px solid #8a6100; padding: .5rem 1rem; font-weight: 600; max-width: none }
.verdict { border-left: .5rem solid; padding: .75rem 1.25rem; margin: 1.25rem 0; background: var(--ground) }
.verdict h2 { border: 0; padding: 0; margin: 0; font-size: 1.2rem }
.verdict ul { margin: .5rem 0 0; padding-left: 1.2rem; max-width: 60rem }
.good { border-color: #1b6e3c } .attention { border-color: #b36b00 } .bad { border-color: #b3261e }
.mark { font-weight: 700 }
.mark svg { vertical-align: -.1em; margin-right: .3em }
td .mark { white-space: nowrap }
.mark.good { color: #1b6e3c } .mark.attention { color: #8a4b00 } .mark.bad { color: #b3261e }
.lead { color: var(--soft) }
.none { color: var(--soft) }
.more { font-size: .9rem }
table { border-collapse: collapse; width: 100%; margin: .75rem 0 1.25rem; font-size: .875rem; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); padding-bottom: .35rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line) }
thead th { border-bottom: 1px solid var(--ink); font-weight: 600; overflow-wrap: normal }
tbody th { font-weight: 500 }
tbody th.n { text-align: right }
td.n, th.n { text-align: right; overflow-wrap: normal }
td.d { white-space: nowrap }
tr > :first-child { padding-left: 0 }
tr > :last-child { padding-right: 0 }
td.n { white-space: nowrap }
td.long { white-space: normal; overflow-wrap: anywhere; font-size: .8em }
td.n small { display: block }
small { color: var(--soft); font-size: .9em }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0 .25rem }
.legend svg { vertical-align: -2px }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.25rem; margin: .75rem 0 }
.panel { margin: 0; min-width: 0; max-width: 34rem; break-inside: avoid }
.panel svg { display: block; width: 100%; height: auto }
figcaption { font-weight: 600; font-size: .9rem }
.panel details { max-height: 22rem; overflow: auto }
summary { cursor: pointer; color: var(--link); font-size: .875rem; padding: .25rem 0 }
footer { color: var(--soft); font-size: .875rem; margin-top: 3rem; padding-bottom: 3rem }
footer h2 { color: var(--ink) }
@media screen and (max-width: 56rem) {
  header, main, footer { padding-left: .9rem; padding-right: .9rem }
  table, tbody, tr, th, td, caption { display: block }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0 }
  td, tbody th, td.n { border: 0; padding: .1rem 0; display: flex; justify-content: space-between; gap: 1rem; text-align: right }
  td::before, tbody th::before { content: attr(data-title); color: var(--soft); font-weight: 400; text-align: left; flex: 0 1 45% }
  tbody th { font-weight: 700 }
  td:empty { display: none }
  td.n small { display: inline }
}
@media print {
  @page { size: A4; margin: 14mm }
  body { font-size: 9.5pt }
  header, main, footer { max-width: none; padding: 0 }
  nav, .skip, summary { display: none }
  h2, h3, caption, thead { break-after: avoid }
  tr, .panel, .verdict { break-inside: avoid }
  table { font-size: 8pt }
  thead { display: table-header-group }
  .panels { grid-template-columns: repeat(2, 1fr) }
  .panel details:not([open]) { display: none }
  .panel details[open] { max-height: none }
  .panel:has(details[open]) { break-inside: auto; grid-column: 1 / -1 }
  .verdict { background: none; border: 1pt solid; border-left: 6pt solid }
  a { color: inherit }
  a[href^="http"]::after { content: " (" attr(href) ")" }
  svg, .verdict, .mark { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
`

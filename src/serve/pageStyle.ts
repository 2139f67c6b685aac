/** Style of the status page: nothing from elsewhere; light and dark; cards instead of tables on a phone. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #1b2330; --soft: #55607a; --line: #dde2ea;
  --good: #146c43; --good-ground: #e3f4ea; --bad: #a4161a; --bad-ground: #fdeaea; --warn: #7a4b00; --warn-ground: #fdf1d9;
  --calm-ground: #e8ebf1; --accent: #1f5fbf; }
@media (prefers-color-scheme: dark) { :root { --ground: #10141b; --card: #1a202b; --ink: #e8ecf3; --soft: #a5b0c5;
  --line: #2c3545; --good: #7fdca8; --good-ground: #143524; --bad: #ff9c9c; --bad-ground: #45191b; --warn: #ffce7a;
  --warn-ground: #40300f; --calm-ground: #2a3344; --accent: #8db8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
.wide { max-width: 76rem; margin: 0 auto; padding: 1.25rem; }
a { color: var(--accent); }
.name { margin: 0; color: var(--soft); font-size: .95rem; font-weight: 600; }
.name span { font-weight: 400; }
h2 { margin: 2rem 0 .6rem; font-size: 1.1rem; }
.verdict { margin: .6rem 0 0; padding: 1rem 1.25rem; border-radius: .6rem; border-left: .4rem solid var(--good);
  background: var(--good-ground); }
.verdict.bad { border-color: var(--bad); background: var(--bad-ground); }
.verdict h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; color: var(--good); }
.verdict.bad h1 { color: var(--bad); }
.verdict p { margin: .25rem 0 0; }
.verdict.calm { border-color: var(--warn); background: var(--warn-ground); }
.verdict.calm h1 { color: var(--warn); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 1rem 0 0; padding: 0; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .6rem .9rem; }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; font-size: 1.05rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts small { display: block; color: var(--soft); font-weight: 400; }
.problems { margin: 0; padding: 0; list-style: none; display: grid; gap: .5rem; }
.problems li { background: var(--card); border: 1px solid var(--line); border-left: .3rem solid var(--bad);
  border-radius: .4rem; padding: .6rem .9rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; overflow: hidden; }
caption { text-align: left; color: var(--soft); font-size: .9rem; padding: 0 0 .4rem; }
th, td { padding: .5rem .75rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--soft); font-size: .85rem; font-weight: 600; white-space: nowrap; }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 600; }
.runs { display: grid; gap: 1.25rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.zero { color: var(--soft); }
.chip { display: inline-block; padding: 0 .55rem; border-radius: 1rem; font-size: .85rem; font-weight: 600;
  background: var(--calm-ground); white-space: nowrap; }
.chip.good { background: var(--good-ground); color: var(--good); }
.chip.bad { background: var(--bad-ground); color: var(--bad); }
.chip.warn { background: var(--warn-ground); color: var(--warn); }
progress { width: 100%; height: .6rem; vertical-align: middle; accent-color: var(--accent); }
footer { margin: 2rem 0 1rem; color: var(--soft); font-size: .9rem; }
footer a { margin-right: 1rem; }
#lost { position: sticky; top: 0; margin: 0; padding: .5rem 1.25rem; background: var(--bad-ground); color: var(--bad);
  font-weight: 600; text-align: center; }
@media (max-width: 44rem) {
  .wide { padding: .9rem; }
  .facts { grid-template-columns: 1fr 1fr; }
  table, caption, tbody, tr { display: block; border: 0; background: none; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody tr { display: grid; grid-template-columns: 1fr 1fr; column-gap: 1.5rem; margin-bottom: .6rem; padding: .5rem .9rem;
    background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
  tbody th, tbody td { display: flex; justify-content: space-between; gap: .5rem; padding: .15rem 0; border: 0; }
  tbody td { font-size: .9rem; text-align: right; }
  tbody td::before { content: attr(data-label); color: var(--soft); text-align: left; white-space: nowrap; }
  tbody td[data-label="State"] { justify-content: flex-end; }
  tbody td[data-label="State"]::before { content: none; }
  tbody td[data-label="Progress"] { grid-column: 1 / -1; }
  tbody td[data-label="Progress"] div { flex: 1; }
  tbody td.nothing { display: none; }
}
`

/** Fetches the page again and replaces the parts that differ. The scroll position and the focus stay where they are. */
export const SCRIPT = `
"use strict"
const EVERY = 2000, LIMIT = 8000
const lost = document.getElementById("lost")
const look = async () => {
  if (!document.hidden) try {
    const response = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(LIMIT) })
    if (!response.ok) throw new Error(response.statusText)
    const news = new DOMParser().parseFromString(await response.text(), "text/html")
    document.title = news.title
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = news.getElementById(part.id)
      if (other && other.innerHTML !== part.innerHTML) part.innerHTML = other.innerHTML
    }
    lost.hidden = true
  } catch { lost.hidden = false }
  setTimeout(look, EVERY)
}
setTimeout(look, EVERY)
`

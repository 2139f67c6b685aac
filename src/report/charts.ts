import { BarChart, LineChart } from "echarts/charts"
import { GridComponent } from "echarts/components"
import * as echarts from "echarts/core"
import { LegacyGridContainLabel } from "echarts/features"
import { SVGRenderer } from "echarts/renderers"
import { type Html, html, trusted } from "./html.ts"

/** Draws charts as SVG inside the page. They load nothing, run no script, and print sharply. */

echarts.use([BarChart, LineChart, GridComponent, LegacyGridContainLabel, SVGRenderer])

/** Size in CSS pixels. The width is that of a phone, so the text stays readable without scaling. */
const WIDTH = 340
const HEIGHT = 200

const INK = "#222222"
const LINE = "#c9ccd1"
const FONT = { fontFamily: "system-ui, sans-serif", fontSize: 11, color: INK }

/**
 * Colours of the series. They differ in lightness, and one is hatched, so they also work in grey and for colour-blind
 * readers.
 */
export const COLOURS = { first: "#0b5394", second: "#e08214" } as const

const HATCH = {
  symbol: "rect",
  color: "rgba(0, 0, 0, 0.55)",
  dashArrayX: [1, 0],
  dashArrayY: [1.5, 4],
  rotation: -Math.PI / 4,
}

export interface Series {
  readonly name: string
  readonly colour: string
  readonly isHatched?: boolean
  /** Values that become pixels. The text of a figure is printed elsewhere, exactly. */
  readonly values: ReadonlyArray<number | null>
}

export interface Chart {
  /** Short title of the chart. */
  readonly title: string
  /** Text for a screen reader: the highest, the first and the last value. */
  readonly description: string
  readonly kind: "bars" | "line" | "ranking"
  readonly names: ReadonlyArray<string>
  readonly series: ReadonlyArray<Series>
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })

const valueAxis = {
  type: "value",
  splitNumber: 3,
  axisLabel: { ...FONT, formatter: (value: number) => compact.format(value) },
  splitLine: { lineStyle: { color: LINE } },
} as const

const nameAxis = (names: ReadonlyArray<string>, isRanking: boolean) => ({
  type: "category" as const,
  data: [...names],
  inverse: isRanking,
  axisLabel: isRanking
    ? { ...FONT, interval: 0, width: 120, overflow: "truncate" as const }
    : { ...FONT, hideOverlap: true, interval: Math.max(0, Math.ceil(names.length / 4) - 1) },
  axisTick: { show: false },
  axisLine: { lineStyle: { color: INK } },
})

const seriesOf = (kind: Chart["kind"]) => (series: Series) =>
  kind === "line"
    ? {
        type: "line" as const,
        step: "end" as const,
        data: [...series.values],
        showSymbol: series.values.length === 1,
        lineStyle: { color: series.colour, width: 2 },
        itemStyle: { color: series.colour },
        silent: true,
      }
    : {
        type: "bar" as const,
        stack: "all",
        data: [...series.values],
        barCategoryGap: series.values.length > 45 ? "0%" : "25%",
        itemStyle: { color: series.colour, ...(series.isHatched ? { decal: HATCH } : {}) },
        silent: true,
      }

/** Removes the renderer's mouse attributes and its size. The page's own style sets the size. */
const cleaned = (svg: string): string =>
  svg
    .replace(/<style[\s\S]*?<\/style>/g, "")
    .replace(/ (?:ecmeta_\w+|class|xmlns:xlink|version|baseProfile|pointer-events)="[^"]*"/g, "")
    .replace(/<rect [^>]*fill="none"><\/rect>\n?/, "")

let chartCount = 0

/** Draws a chart with its own title and description. The caller adds the table of its figures. */
export const draw = ({ title, description, kind, names, series }: Chart): Html => {
  const isRanking = kind === "ranking"
  const height = isRanking ? Math.max(HEIGHT / 2, 30 + 22 * names.length) : HEIGHT
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height })
  try {
    chart.setOption({
      animation: false,
      // echarts only estimates text widths here, so a long name needs spare room.
      grid: { left: isRanking ? 14 : 6, right: 14, top: 12, bottom: 4, containLabel: true },
      xAxis: isRanking ? { ...valueAxis, minInterval: 1 } : nameAxis(names, false),
      yAxis: isRanking ? nameAxis(names, true) : { ...valueAxis, scale: kind === "line" },
      series: series.map(seriesOf(kind)),
    })
    const id = `chart-${++chartCount}`
    const svg = cleaned(chart.renderToSVGString())
    const opening = html`<svg role="img" aria-labelledby="${id}-title" aria-describedby="${id}-text"`
    const inside = html`<title id="${id}-title">${title}</title><desc id="${id}-text">${description}</desc>`
    return trusted(svg.replace(/^<svg([^>]*)>/, (_, rest: string) => `${opening.text}${rest}>${inside.text}`))
  } finally {
    // The chart's timers would keep the process from exiting.
    chart.dispose()
  }
}

/** Renders the colour key of a chart. */
export const legend = (series: ReadonlyArray<Omit<Series, "values">>): Html =>
  html`<p class="legend">${series.map(
    ({ name, colour, isHatched }) =>
      html`<span><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" fill="${colour}"/>${
        isHatched
          ? html`<path d="M0 5 5 0M0 10 10 0M0 14 14 0M4 14 14 4M9 14 14 9" stroke="#000" stroke-opacity=".55"/>`
          : null
      }</svg> ${name}</span> `,
  )}</p>`

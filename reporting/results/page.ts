/**
 * The results pages: tables and charts that are computed from evaluation/results/*.json and written into docs/results/*.md (and a how-to guide) by `npm run results`.
 *
 * This folder computes what the pages show. Measurements belong in evaluation/, and people write the words in docs/results/ around the generated
 * regions.
 */
import type { Chart } from '../charts/chart.js'

/** A generated region of a page. */
export type Region =
  | { readonly kind: 'markdown'; readonly text: string }
  | {
      readonly kind: 'chart'
      /** alternative text: what a reader sees in the chart */
      readonly alternative: string
      readonly chart: Chart
    }

export type ResultsPage = {
  /** the page is FOLDER/NAME.md */
  readonly name: string
  /** docs/results if absent */
  readonly folder?: string
  /** the regions by the names in the page's markers; `read` reads a file of evaluation/results/ by its name */
  readonly regions: (read: ReadResults) => Readonly<Record<string, Region>>
}

/** A stored file, such as `glue-embedded`, as JSON. */
export type ReadResults = (name: string) => unknown

export const markdown = (text: string): Region => ({ kind: 'markdown', text: text.trim() })

export const chart = (alternative: string, shown: Chart): Region => ({ kind: 'chart', alternative, chart: shown })

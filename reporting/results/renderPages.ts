/** All results pages with their charts as texts, from the stored results and the pages as they are. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { svgFile } from '../charts/drawing.js'
import { drawChart, type ChartLayout } from '../charts/svg/drawChart.js'
import type { ReadResults } from './page.js'
import { pages } from './pages/index.js'
import { replaceRegions } from './regions.js'

export const resultsFolder = 'docs/results'

/** A column of the documentation. */
const pageLayout: ChartLayout = { width: 680, plotHeight: 260, smoothing: 0 }

/** Reads evaluation/results/NAME.json of the repository at `root`. */
export const readStored =
  (root: string): ReadResults =>
  (name) =>
    JSON.parse(readFileSync(join(root, 'evaluation/results', `${name}.json`), 'utf8'))

/**
 * Files by their path in the repository.
 * @param root the repository
 * @throws InputError if a page and its regions do not match
 */
export const renderPages = (root: string): ReadonlyMap<string, string> => {
  const read = readStored(root)
  const files = new Map<string, string>()
  for (const { name, folder = resultsFolder, regions } of pages) {
    const texts = new Map<string, string>()
    for (const [region, content] of Object.entries(regions(read))) {
      if (content.kind === 'markdown') texts.set(region, content.text)
      else {
        const chartFile = `charts/${name}-${region}.svg`
        files.set(`${resultsFolder}/${chartFile}`, `${svgFile(drawChart(content.chart, pageLayout))}\n`)
        texts.set(region, `![${content.alternative}](./${chartFile})`)
      }
    }
    const file = `${folder}/${name}.md`
    files.set(file, replaceRegions(file, readFileSync(join(root, file), 'utf8'), texts))
  }
  return files
}

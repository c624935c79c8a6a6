/** Without the optional packages, only charts or PNG files are missing, and one line says how to install the packages. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { idOf } from '../../reporting/board/watch.js'
import type { ReportResult } from '../../reporting/report/report.js'
import { follow } from '../board/boardClient.js'
import { ranksOf, writeRun } from '../property/reporting/reportRuns.js'
import { installWithout } from '../support/installWithout.js'
import { toyFolder } from './toyFolder.js'

const run = promisify(execFile)
const environment = { ...process.env, HF_HUB_OFFLINE: '1' }
const vegaLine = 'warning: charts: expected the packages vega and vega-lite (npm install vega vega-lite @resvg/resvg-js), got none\n'
const resvgLine = 'warning: PNG files: expected the package @resvg/resvg-js (npm install vega vega-lite @resvg/resvg-js), got none\n'

const root = toyFolder('optional-packages')
const at = (...path: ReadonlyArray<string>): string => join(root, ...path)
const [withoutVega, withoutResvg] = ['without-vega', 'without-resvg']
const programIn = (install: string): string => at(install, 'dist/cli/salora.js')
const salora = (install: string, ...args: ReadonlyArray<string>) =>
  run(process.execPath, [programIn(install), ...args], { cwd: root, env: environment })

beforeAll(async () => {
  for (const folder of [withoutVega, withoutResvg]) await mkdir(at(folder))
  await installWithout(at(withoutVega), ['vega', 'vega-lite', '@resvg/resvg-js'])
  await installWithout(at(withoutResvg), ['@resvg/resvg-js'])
  for (const seed of [0, 1]) await writeRun(at('runs', `seed-${seed}`), { seed, ranks: ranksOf(1, 2, 3, seed) })
})

describe('salora report', () => {
  it('writes tables and numbers without vega, and prints how to install it', async () => {
    const { stdout, stderr } = await salora(withoutVega, 'report', 'runs', '--output', 'tables.html', '--figures', 'no-charts', '--json')
    const result = JSON.parse(stdout) as ReportResult
    expect(stderr).toContain(vegaLine)
    expect(stderr.match(/warning/g)).toHaveLength(1)
    expect([result.tables.length, result.figures, result.files]).toEqual([2, [], []])
    const page = await readFile(at('tables.html'), 'utf8')
    expect(page).toContain('charts: expected the packages vega and vega-lite (npm install vega vega-lite @resvg/resvg-js), got none')
    expect(page).toContain('<textarea id="csv-loss"') // the numbers behind a missing chart
    expect(page).not.toContain('<svg')
  })

  it('writes charts as SVG without resvg, and prints how to install it', async () => {
    const { stdout, stderr } = await salora(withoutResvg, 'report', 'runs', '--output', 'charts.html', '--figures', 'svg-only', '--json')
    const result = JSON.parse(stdout) as ReportResult
    expect(stderr).toContain(resvgLine)
    expect(result.figures.length).toBeGreaterThan(5)
    expect((await readdir(at('svg-only'))).every((name) => name.endsWith('.svg'))).toBe(true)
    expect(await readFile(at('charts.html'), 'utf8')).toContain('<svg')
  })
})

describe('salora quickstart', () => {
  it('trains and writes its report without vega, and prints how to install it', async () => {
    const args = ['--model', 'tiny', '--max-steps', '6', '--device', 'cpu', '--output', 'quick', '--quiet']
    const { stdout, stderr } = await salora(withoutVega, 'quickstart', ...args)
    expect(stderr.endsWith(vegaLine)).toBe(true)
    expect(stdout).toMatch(/^report {6}quick\/report\.html: 1 run, 2 tables, 0 figures$/m)
    expect(await readFile(at('quick/report.html'), 'utf8')).toMatch(/<\/html>\n$/)
  })
})

describe('salora board', () => {
  it('shows the numbers of a run without vega, and how to install it', async () => {
    const child = spawn(process.execPath, [programIn(withoutVega), 'board', 'runs', '--port', '0', '--json'], { cwd: root })
    const [printed] = (await once(child.stdout, 'data')) as [Buffer]
    const board = JSON.parse(printed.toString()) as { readonly folder: string; readonly port: number; readonly url: string }
    const view = await follow({ ...board, close: async () => undefined }, `view=run&id=${idOf('seed-0')}`)
    await expect
      .poll(() => view.state().figures?.problems)
      .toEqual([expect.stringMatching(/^charts: expected the packages vega and vega-lite/)])
    expect(view.state().run?.line.name).toBe('seed-0')
    expect(view.state()['figure loss']).toMatchObject({ panels: [], csv: expect.stringContaining('mrpc,salora,1,4,4,0.25') })
    view.close()
    child.kill('SIGINT')
    await once(child, 'exit')
  })
})

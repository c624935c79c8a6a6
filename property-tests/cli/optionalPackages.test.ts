/** Charts need no optional package. Without resvg, only PNG files are missing, and one line says how to install it. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { hashName } from '../../reporting/board/watch.js'
import type { ReportResult } from '../../reporting/report/makeReport.js'
import { follow } from '../board/boardClient.js'
import { ranksOf, writeRun } from '../property/reporting/reportRuns.js'
import { installWithout } from '../support/installWithout.js'
import { toyFolder } from './toyFolder.js'

const run = promisify(execFile)
const environment = { ...process.env, HF_HUB_OFFLINE: '1' }
const resvgLine = 'warning: PNG files: expected the package @resvg/resvg-js (npm install @resvg/resvg-js), got none\n'

const root = toyFolder('optional-packages')
const at = (...path: readonly string[]): string => join(root, ...path)
/** The packages in peerDependencies, and Vega, which drew the charts before. */
const optional = ['@huggingface/hub', '@huggingface/transformers', '@resvg/resvg-js', 'bullmq', 'ioredis', 'vega', 'vega-lite']
const installed = 'without-optional-packages'
const program = at(installed, 'dist/cli/salora.js')
const salora = (...args: readonly string[]) => run(process.execPath, [program, ...args], { cwd: root, env: environment })

beforeAll(async () => {
  await mkdir(at(installed))
  await installWithout(at(installed), optional)
  for (const seed of [0, 1]) await writeRun(at('runs', `seed-${seed}`), { seed, ranks: ranksOf(1, 2, 3, seed) })
})

describe('salora report', () => {
  it('writes charts as SVG without optional packages, and prints how to install the one for PNG', async () => {
    const { stdout, stderr } = await salora('report', 'runs', '--output', 'charts.html', '--figures', 'svg-only', '--json')
    const result = JSON.parse(stdout) as ReportResult
    expect(stderr).toContain(resvgLine)
    expect(stderr.match(/warning/g)).toHaveLength(1)
    expect(result.figures.length).toBeGreaterThan(5)
    expect((await readdir(at('svg-only'))).every((name) => name.endsWith('.svg'))).toBe(true)
    const page = await readFile(at('charts.html'), 'utf8')
    expect(page).toContain('<textarea id="csv-loss"')
    expect(page.match(/<svg/g)?.length).toBeGreaterThanOrEqual(result.figures.length)
  })
})

describe('salora quickstart', () => {
  it('trains and writes its report with charts without optional packages', async () => {
    const args = ['--model', 'tiny', '--max-steps', '8', '--device', 'cpu', '--output', 'quick', '--quiet']
    const { stdout, stderr } = await salora('quickstart', ...args)
    expect(stderr).not.toContain('expected the package')
    expect(stdout).toMatch(/^report {6}quick\/report\.html: 1 run, 4 tables, [1-9]\d* figures$/m)
    expect(await readFile(at('quick/report.html'), 'utf8')).toMatch(/<svg[\s\S]*<\/html>\n$/)
  })
})

describe('salora board', () => {
  it('shows the charts and the numbers of a run without optional packages', async () => {
    const child = spawn(process.execPath, [program, 'board', 'runs', '--port', '0', '--json'], { cwd: root })
    const [printed] = (await once(child.stdout, 'data')) as [Buffer]
    const board = JSON.parse(printed.toString()) as { readonly folder: string; readonly port: number; readonly url: string }
    const view = await follow({ ...board, close: async () => undefined }, `view=run&id=${hashName('seed-0')}`)
    await expect.poll(() => view.state().figures?.problems).toEqual([])
    expect(view.state().run?.line.name).toBe('seed-0')
    expect(view.state()['figure loss']).toMatchObject({
      panels: [{ chart: { kind: 'line', lines: [{ name: 'salora', points: [1, 1 / 2, 1 / 3, 1 / 4].map((loss, i) => [i + 1, loss]) }] } }],
    })
    view.close()
    child.kill('SIGINT')
    await once(child, 'exit')
  })
})

describe('salora push', () => {
  it('prints how to install its optional package', async () => {
    await mkdir(at('published'))
    for (const [name, content] of Object.entries({
      'adapter_config.json': '{"base_model_name_or_path":"me/base"}',
      'adapter_model.safetensors': '',
    }))
      await writeFile(at('published', name), content)
    const online = { ...environment, HF_HUB_OFFLINE: '', HF_TOKEN: 'hf_x', HF_ENDPOINT: 'http://127.0.0.1:1' }
    const failed = run(process.execPath, [program, 'push', 'published', 'me/x', '--quiet'], { cwd: root, env: online })
    await expect(failed).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/\nsalora push: expected the package @huggingface\/hub \(npm install @huggingface\/hub\), got none\n$/),
    })
  })
})

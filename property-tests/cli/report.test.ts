/** salora report: the page, files of charts, the result as JSON, and one line for each user error. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ReportResult } from '../../reporting/report/makeReport.js'
import { ranksOf, writeRun } from '../property/reporting/reportRuns.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraHere } from './inProcess.js'

const { folder: root } = temporaryFolder('report')
const at = (...path: readonly string[]): string => join(root, ...path)
beforeAll(async () => {
  for (const seed of [0, 1]) await writeRun(at('runs', `seed-${seed}`), { seed, ranks: ranksOf(1, 2, 3, seed) })
  await writeRun(at('some/good'), {})
  await writeRun(at('some/bad'), {})
  await writeFile(at('some/bad/result.json'), '{')
})

describe('salora report', () => {
  it('writes the page, and prints what it contains and its URL', async () => {
    const { code, stdout, stderr } = await saloraHere('report', at('runs'), '--output', at('page.html'), '--quiet')
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.split('\n')).toEqual([
      `report      ${at('page.html')}: 2 runs, 2 tables, 10 figures`,
      `open it     ${pathToFileURL(at('page.html')).href}`,
      '',
    ])
    expect(await readFile(at('page.html'), 'utf8')).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/)
  })

  it('writes each chart as SVG and PNG with --figures, and prints the result as JSON', async () => {
    const { code, stdout, stderr } = await saloraHere('report', at('runs'), '--output', at('all.html'), '--figures', at('charts'), '--json')
    expect(code).toBe(0)
    const result = JSON.parse(stdout) as ReportResult
    expect(result).toMatchObject({ output: at('all.html'), runs: 2, series: 1, skipped: [] })
    const panels = result.figures.flatMap((figure) => figure.panels)
    expect(panels).toContain('figure7-ranks-1-mrpc')
    const hasPng = result.warnings.length === 0
    const kinds = hasPng ? ['svg', 'png'] : ['svg']
    if (!hasPng) expect(stderr).toMatch(/^warning: PNG files: expected a font/m)
    expect((await readdir(at('charts'))).sort()).toEqual(panels.flatMap((name) => kinds.map((kind) => `${name}.${kind}`)).sort())
    expect(result.files.map((file) => basename(file)).sort()).toEqual((await readdir(at('charts'))).sort())
    const svg = await readFile(at('charts/loss-mrpc.svg'), 'utf8')
    expect(svg).toMatch(/^<svg color="#1b1b1b" xmlns="http:\/\/www\.w3\.org\/2000\/svg"[^>]*><style>@media \(prefers-color-scheme: dark\)/)
    if (!hasPng) return
    const png = await readFile(at('charts/loss-mrpc.png'))
    expect(png.subarray(1, 4).toString()).toBe('PNG')
    const [, width = ''] = / width="(\d+)"/.exec(svg) ?? []
    expect(png.readUInt32BE(16)).toBe(2 * Number(width)) // IHDR: two pixels for each pixel of the chart
  })

  it('draws hostile names as text: each chart is well-formed XML', async () => {
    const name = `]]></text><style>*{}</style>&amp;"'\u0000\uffff\ud800 __proto__ {{datum}} currentColor class="x"`
    await writeRun(at('odd/one'), { settings: { note: name }, ranks: { ...ranksOf(1, 2, 3, 4), [`encoder.layer.1.${name}`]: 2 } })
    await writeRun(at('odd/two'), { settings: { note: '__proto__' }, ranks: ranksOf(1, 1, 2, 2) })
    const { code, stdout, stderr } = await saloraHere(
      'report',
      at('odd'),
      '--output',
      at('odd.html'),
      '--figures',
      at('odd-charts'),
      '--json',
    )
    expect(code).toBe(0)
    const { files, warnings } = JSON.parse(stdout) as ReportResult
    expect(warnings.length > 0 ? '' : stderr.replace(/^runs.*\n/gm, '')).toBe('') // resvg rejects what is not XML
    const svg = await readFile(at('odd-charts/loss-mrpc.svg'), 'utf8')
    expect(svg).toContain(']]&gt;&lt;/text&gt;&lt;style&gt;*{}')
    expect(svg).toContain('class=&quot;x&quot;') // part of the name
    expect(files.length).toBe((await readdir(at('odd-charts'))).length)
  })

  it('skips damaged runs with a warning', async () => {
    const { code, stdout, stderr } = await saloraHere('report', at('some'), '--output', at('some.html'), '--quiet')
    expect(code).toBe(0)
    expect(stdout).toContain(': 1 run, 2 tables, ')
    expect(stderr).toMatch(/^warning: skipped: .*some\/bad\/result\.json: expected JSON, got text that is not .*\n$/)
  })

  it.each<readonly [string, readonly string[], RegExp, number]>([
    [
      'an output folder that does not exist',
      ['runs', '--output', 'absent/x.html'],
      /absent\/x\.html: expected to write the file, got a missing folder/,
      1,
    ],
    [
      'a file instead of a folder for the charts',
      ['runs', '--output', 'x.html', '--figures', 'page.html'],
      /^--figures .*: expected a writable folder/,
      1,
    ],
  ])('prints one line for %s', async (_, args, message, code) => {
    const { code: exitCode, stdout, stderr } = await saloraHere('report', ...args.map((arg) => (arg.startsWith('--') ? arg : at(arg))))
    expect(stderr.split('\n').filter((line) => line !== '').length).toBe(1)
    expect(stderr).toMatch(message)
    expect([exitCode, stdout]).toEqual([code, ''])
    expect(await readdir(root)).not.toContain('x.html')
  })
})

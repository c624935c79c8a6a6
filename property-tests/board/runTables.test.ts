/** The board shows of a run what its report shows: the same tables, numbers, texts and confusion matrix. */
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openContent, type RunContent } from '../../reporting/board/content.js'
import { openCurveCache } from '../../reporting/board/curveCache.js'
import { openWatch } from '../../reporting/board/watch.js'
import { makeReport } from '../../reporting/report/report.js'
import { tableSection } from '../../reporting/report/sections.js'
import { ranksOf, writeRun } from '../property/reporting/reportRuns.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('run-tables')
const at = (...path: ReadonlyArray<string>): string => join(folder, ...path)
const hostile = '</td><script>alert(1)</script> \u202e "x",'

const details = (step: number) => ({
  step,
  byClass: ['poor', hostile].map((label, i) => ({
    label,
    precision: 0.1 + i / 3,
    recall: i === 0 ? null : 1 / 7,
    f1: 0.2,
    examples: 20 + i,
  })),
  confusion: [
    [17, 3],
    [4, 17],
  ],
  errors: [
    { row: 7, label: 'poor', predicted: hostile, loss: 2.71234567, text: 'a good film', textPair: hostile },
    { row: 1234, label: hostile, predicted: 'poor', loss: 0.5 },
  ],
})

const boardOf = async (name: string): Promise<RunContent> => {
  const watch = openWatch(at('runs'))
  await watch.refresh()
  const runs = [...watch.runs().values()].filter((run) => run.name === name)
  const rendered = await openContent(openCurveCache()).read(runs, null)
  if (rendered === null) throw new Error(`expected figures of ${name}`)
  return rendered
}
const reportOf = async (name: string) => {
  const result = await makeReport({ folders: [at('runs', name)], output: at('page.html'), figures: null })
  return { result, page: await readFile(at('page.html'), 'utf8') }
}

beforeAll(async () => {
  const made = { ranks: ranksOf(1, 2, 3, 0), accuracy: 0.7123456789, steps: 8 }
  for (const name of ['whole', 'other-step', 'plain']) await writeRun(at('runs', name), made)
  await writeFile(at('runs/whole/evaluation.json'), JSON.stringify(details(8)))
  await writeFile(at('runs/other-step/evaluation.json'), JSON.stringify(details(4)))
  await writeRun(at('runs/sampled'), made)
  const samples = (text: string) => [{ prompt: hostile, text, tokens: 3, ended: 'end' }]
  for (const [step, text] of [
    [4, 'one'],
    [8, hostile],
  ] as const)
    await appendFile(at('runs/sampled/metrics.jsonl'), `${JSON.stringify({ kind: 'samples', step, samples: samples(text) })}\n`)
})

describe('the board, of a finished run', () => {
  it.each(['whole', 'other-step', 'plain', 'sampled'])('has the tables of the report, in its order: %s', async (name) => {
    const [{ tables, problems }, { result, page }] = [await boardOf(name), await reportOf(name)]
    expect(problems).toEqual([])
    expect(tables.map(({ name, title, table }) => ({ name, title, rows: table.rows.length }))).toEqual(result.tables)
    for (const table of tables) expect(page).toContain(tableSection(table).html)
  })

  it('has scores by class, the worst errors with their texts, the kept score beside the last one, and costs', async () => {
    const { tables } = await boardOf('whole')
    expect(tables.map(({ name }) => name)).toEqual(['classes', 'errors', 'scores', 'runs'])
    expect(tables[1]?.table.rows[0]).toEqual([
      7,
      2.71,
      'poor',
      expect.stringContaining('alert(1)'),
      expect.stringMatching(/^a good film \| /),
    ])
    expect(tables[2]?.table.columns).toEqual(expect.arrayContaining(['kept', 'last']))
    expect((await boardOf('other-step')).tables.map(({ name }) => name)).toEqual(['scores', 'runs'])
  })

  it('has the samples of each evaluation', async () => {
    const { tables } = await boardOf('sampled')
    expect(tables.map(({ name }) => name)).toEqual(['samples', 'scores', 'runs'])
    expect(tables[0]?.table.rows).toEqual([
      [expect.stringContaining('alert(1)'), 4, 'one'],
      ['', 8, expect.stringContaining('alert(1)')],
    ])
  })

  it('has the charts of the report, the map of its ranks and its confusion matrix among them', async () => {
    const [{ figures }, { page }] = [await boardOf('whole'), await reportOf('whole')]
    const charts = JSON.parse(/<script[^>]*id="charts"[^>]*>([\s\S]*?)<\/script>/.exec(page)?.[1] ?? '') as Readonly<
      Record<string, unknown>
    >
    const panels = figures.flatMap((figure) => figure.panels)
    const rounded = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(6)) : value)
    expect(JSON.parse(JSON.stringify(Object.fromEntries(panels.map(({ name, chart }) => [name, chart])), rounded))).toEqual(charts)
    expect(panels.map(({ name }) => name)).toEqual(expect.arrayContaining(['confusion-mrpc', 'figure7-ranks-1-mrpc']))
  })
})

describe('the board, of a running run', () => {
  it('has the newest evaluation, and a damaged one as one line', async () => {
    await writeRun(at('runs/live'), { steps: 8 })
    await rm(at('runs/live/result.json'))
    await writeFile(at('runs/live/evaluation.json'), JSON.stringify(details(4)))
    expect((await boardOf('live')).tables.map(({ name }) => name)).toEqual(['classes', 'errors'])
    await writeFile(at('runs/live/evaluation.json'), '{"step": 4')
    const { tables, problems } = await boardOf('live')
    expect([tables, problems]).toEqual([[], [expect.stringMatching(/live\/evaluation\.json: expected JSON, got /)]])
  })
})

/** The board draws of a run what its report draws, while it runs too: curves grow with the file, ranks follow the gates, and a resume restarts them. */
import { appendFile, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openContent, type RunContent } from '../../reporting/board/content.js'
import { openWatch } from '../../reporting/board/watch.js'
import type { WatchedRun } from '../../reporting/board/watchRun.js'
import { makeReport } from '../../reporting/report/makeReport.js'
import { tableSection } from '../../reporting/report/sections.js'
import { ranksOf, writeRun } from '../property/reporting/reportRuns.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('run-tables')
const at = (...path: readonly string[]): string => join(folder, ...path)
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
  const rendered = await openContent().read(runs, null)
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

const step = (n: number, more: object = {}): string => `${JSON.stringify({ kind: 'step', step: n, taskLoss: 1 / n, ...more })}\n`
const runsIn = async (name: string): Promise<readonly WatchedRun[]> => {
  const watch = openWatch(at(name))
  await watch.refresh()
  return [...watch.runs().values()]
}
/** The text of a chart, which has its first and last values. */
const chartText = (content: RunContent | null, figure: string): string | undefined =>
  content?.figures.find(({ name }) => name === figure)?.panels[0]?.alternative
const readsOf = (content: RunContent | null): number => (JSON.parse(content?.version ?? '[[]]') as [[string, number]])[0][1]

describe('the curves of a run', () => {
  it('stay in memory for the 24 runs that were shown last, and are read anew for the one shown longest ago', async () => {
    for (let i = 0; i < 25; i++) {
      await mkdir(at('many', `${i}`), { recursive: true })
      await writeFile(at('many', `${i}`, 'config.json'), '{}')
      await writeFile(at('many', `${i}`, 'metrics.jsonl'), step(1))
    }
    const [content, runs] = [openContent(), await runsIn('many')]
    const [first, second, ...others] = runs as readonly [WatchedRun, WatchedRun, ...WatchedRun[]]
    const read = (run: WatchedRun) => content.read([run], null)
    for (const run of [first, second, ...others.slice(1), first, ...others.slice(0, 1)]) await read(run)
    for (const { folder: one } of [first, second]) await appendFile(join(one, 'metrics.jsonl'), step(2))
    await expect.poll(async () => readsOf(await read(first)), { message: 'grown since it was shown', timeout: 3_000 }).toBe(2)
    expect(readsOf(await read(second)), 'read from its start').toBe(1)
  })

  it('grow with new lines, include the newest ranks, and start again if a resume has truncated the file', async () => {
    await writeRun(at('grows/run'), {})
    await rm(at('grows/run/result.json'))
    const file = at('grows/run/metrics.jsonl')
    const ranks = (n: number, last: number): string => `${JSON.stringify({ kind: 'ranks', step: n, ranks: ranksOf(4, 3, 4, last) })}\n`
    await writeFile(file, step(1) + step(2) + ranks(2, 3.5))
    const [content, runs] = [openContent(), await runsIn('grows')]
    const now = (figure: string) => content.read(runs, null).then((read) => chartText(read, figure))
    expect(await now('loss')).toMatch(/from 1 at step 1 to 0\.5 at step 2\.$/)
    const titleNow = () => content.read(runs, null).then((read) => read?.figures.find(({ name }) => name === 'ranks')?.panels[0]?.title)
    expect(await titleNow()).toBe('mrpc: salora, step 2')
    await appendFile(file, `${step(3)}${ranks(3, 1.25)}{"kind":"ste`)
    await expect.poll(() => now('loss')).toMatch(/from 1 at step 1 to 0\.3333 at step 3\.$/)
    expect(await titleNow()).toBe('mrpc: salora, step 3')
    await truncate(file, step(1).length + step(2).length)
    await appendFile(file, `${JSON.stringify({ kind: 'retained', step: 2, ranks: ranksOf(4, 2, 4, 0), lambda: 3 })}\n`)
    await expect.poll(() => now('loss')).toMatch(/from 1 at step 1 to 0\.5 at step 2\.$/)
    expect(await titleNow()).toBe('mrpc: salora, step 2')
    await appendFile(file, 'no JSON\n{"kind":"step","step":-1}\n')
    await expect
      .poll(async () => (await content.read(runs, null))?.problems)
      .toEqual([expect.stringMatching(/metrics\.jsonl: expected a step from 0 to \d+, the last step in result\.json, got -1$/)])
  })

  it('are drawn once for all pages, and again when there are new lines', async () => {
    for (const name of ['a', 'b']) {
      await writeRun(at('drawn', name), { steps: 30 })
      await rm(at('drawn', name, 'result.json'))
    }
    await appendFile(at('drawn/a/metrics.jsonl'), `${JSON.stringify({ kind: 'ranks', step: 30, ranks: ranksOf(1, 2, 3, 0.5) })}\n`)
    const [content, runs] = [openContent(), await runsIn('drawn')]
    const [one, other] = await Promise.all([content.read(runs, null), content.read(runs, null)])
    expect(one).toBe(other)
    expect(await content.read(runs, one?.version ?? '')).toBeNull()
    expect(one?.figures.map(({ name }) => name)).toEqual([
      ...['score', 'ranks', 'loss', 'evaluation-loss'],
      ...['figure6-density', 'figure6-lambda', 'learning-rate', 'gradient-norm'],
      ...['figure6-orthogonality-A', 'figure6-orthogonality-B'],
    ])
    expect(chartText(one, 'loss')).toMatch(/ a: from 1 at step 1 to 0\.03333 at step 30\. b: from 1 at step 1 to 0\.03333 at step 30\.$/)
    expect(one?.figures[1]?.panels.map(({ title }) => title)).toEqual(['mrpc: a, step 30'])
    await appendFile(at('drawn/b/metrics.jsonl'), step(31))
    await expect.poll(() => content.read(runs, one?.version ?? ''), { interval: 200 }).not.toBeNull()
  })

  it('of runs on two files of the same name are in two panels', async () => {
    for (const name of ['x', 'y']) await writeRun(at('files', name), { config: { task: { task: `/data/${name}/train.csv` } } })
    const drawn = await openContent().read(await runsIn('files'), null)
    const panels = drawn?.figures.find(({ name }) => name === 'loss')?.panels.map(({ title }) => title)
    expect(panels?.toSorted()).toEqual(['x/train.csv', 'y/train.csv'])
  })
})

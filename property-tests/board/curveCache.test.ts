/** Live curves: they grow with the file, ranks follow the gates, and a resume restarts them. */
import { appendFile, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openCurveCache } from '../../reporting/board/curveCache.js'
import { openContent } from '../../reporting/board/content.js'
import { openWatch } from '../../reporting/board/watch.js'
import { ranksOf, writeRun } from '../property/reporting/reportRuns.js'

let root = ''
const at = (...path: ReadonlyArray<string>): string => join(root, ...path)
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-curves-'))
})
afterAll(() => rm(root, { recursive: true }))

const step = (n: number, more: object = {}): string => `${JSON.stringify({ kind: 'step', step: n, taskLoss: 1 / n, ...more })}\n`

describe('the curves of a run', () => {
  it('stay in memory for the runs that were shown last, and are read anew for the one shown longest ago', async () => {
    const runs = Array.from({ length: 25 }, (_, i) => ({ id: `${i}`, folder: at(`many-${i}`) }))
    for (const { folder } of runs) {
      await mkdir(folder)
      await writeFile(join(folder, 'metrics.jsonl'), step(1))
    }
    const cache = openCurveCache()
    const [first, second, ...others] = runs as [(typeof runs)[0], (typeof runs)[0], ...typeof runs]
    const extra = others.pop() ?? first
    for (const run of [first, second, ...others, first, extra]) await cache.read(run) // 24 have room: the second was shown longest ago
    for (const { folder } of [first, second]) await appendFile(join(folder, 'metrics.jsonl'), step(2))
    expect((await cache.read(first)).version, 'grown since it was shown').toBe(2)
    expect((await cache.read(second)).version, 'read from its start').toBe(1)
  })

  it('grow with new lines, include the newest ranks, and start again if a resume has truncated the file', async () => {
    await mkdir(at('run'))
    const file = at('run/metrics.jsonl')
    const ranks = (n: number, ...values: readonly [number, number, number, number]): string =>
      `${JSON.stringify({ kind: 'ranks', step: n, ranks: ranksOf(...values) })}\n`
    await writeFile(file, step(1) + step(2) + ranks(2, 4, 4, 4, 3.5))
    const cache = openCurveCache()
    const run = { id: 'x', folder: at('run') }
    const first = await cache.read(run)
    expect(first.newestRanks).toEqual({ step: 2, ranks: ranksOf(4, 4, 4, 3.5) })
    const kept = step(1).length + step(2).length
    await appendFile(file, `${step(3)}${ranks(3, 4, 3, 4, 1.25)}{"kind":"ste`)
    const second = await cache.read(run)
    expect(second.curves.steps.taskLoss.map(({ mean }) => mean)).toEqual([1, 1 / 2, 1 / 3])
    expect(second.newestRanks).toEqual({ step: 3, ranks: ranksOf(4, 3, 4, 1.25) })
    expect(second.version).toBeGreaterThan(first.version)
    expect((await cache.read(run)).version).toBe(second.version)
    await truncate(file, kept)
    await appendFile(file, `${JSON.stringify({ kind: 'retained', step: 2, ranks: ranksOf(4, 2, 4, 0), lambda: 3 })}\n`)
    const third = await cache.read(run)
    expect(third.curves.steps.taskLoss.map(({ mean }) => mean)).toEqual([1, 1 / 2])
    expect(third.newestRanks).toEqual({ step: 2, ranks: ranksOf(4, 2, 4, 0) })
    await appendFile(file, 'no JSON\n{"kind":"step","step":-1}\n')
    expect((await cache.read(run)).problem).toMatch(/metrics\.jsonl: expected a step from 0 to \d+, the last step in result\.json, got -1$/)
  })

  it('are rendered once for all pages, and again when there are new lines', async () => {
    for (const name of ['a', 'b']) {
      await writeRun(at('drawn', name), { steps: 30 })
      await rm(at('drawn', name, 'result.json'))
    }
    await appendFile(at('drawn/a/metrics.jsonl'), `${JSON.stringify({ kind: 'ranks', step: 30, ranks: ranksOf(1, 2, 3, 0.5) })}\n`)
    const watch = openWatch(at('drawn'))
    await watch.refresh()
    const content = openContent(openCurveCache())
    const runs = [...watch.runs().values()]
    const [one, other] = await Promise.all([content.read(runs, null), content.read(runs, null)])
    expect(one).toBe(other)
    expect(await content.read(runs, one?.version ?? '')).toBeNull()
    expect(one?.figures.map(({ name }) => name)).toEqual([
      ...['score', 'ranks', 'loss', 'evaluation-loss'],
      ...['figure6-density', 'figure6-lambda', 'learning-rate', 'gradient-norm'],
      ...['figure6-orthogonality-A', 'figure6-orthogonality-B'],
    ])
    const [loss] = one?.figures.find(({ name }) => name === 'loss')?.panels ?? []
    expect(loss?.alternative).toMatch(/ a: from 1 at step 1 to 0\.03333 at step 30\. b: from 1 at step 1 to 0\.03333 at step 30\.$/)
    expect(one?.figures[1]?.panels.map(({ title }) => title)).toEqual(['mrpc: a, step 30'])
    await appendFile(at('drawn/b/metrics.jsonl'), step(31))
    await expect.poll(() => content.read(runs, one?.version ?? ''), { interval: 200 }).not.toBeNull()
  })

  it('of runs on two files of the same name are in two panels', async () => {
    for (const name of ['x', 'y']) await writeRun(at('files', name), { config: { task: { task: `/data/${name}/train.csv` } } })
    const watch = openWatch(at('files'))
    await watch.refresh()
    const drawn = await openContent(openCurveCache()).read([...watch.runs().values()], null)
    const panels = drawn?.figures.find(({ name }) => name === 'loss')?.panels.map(({ title }) => title)
    expect(panels?.toSorted()).toEqual(['x/train.csv', 'y/train.csv'])
  })
})

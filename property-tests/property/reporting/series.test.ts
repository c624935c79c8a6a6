/** Series: which runs share one, what their labels say, and the costs of a series in the tables. */
import { describe, expect, it } from 'vitest'
import { chooseMetric, groupSeries } from '../../../reporting/runs/series.js'
import type { FinishedRun } from '../../../reporting/runs/collectRuns.js'
import { seriesTable } from '../../../reporting/report/runTables.js'
import { madeRun, type MadeRun } from './reportRuns.js'

const finished = (made: MadeRun): FinishedRun => {
  const { config, result } = madeRun(made)
  return { folder: 'run', name: 'run', place: null, config, result } as unknown as FinishedRun
}
const labelsOf = (...made: readonly MadeRun[]) => groupSeries(made.map(finished)).map(({ label, runs }) => [label, runs.length])

describe('a series', () => {
  it('has the runs that differ in their seed, or in how they were executed', () => {
    const executed = [{ threads: 4 }, { saveSteps: 7 }, { gradientCheckpointing: true }, { device: 'cuda' }]
    expect(labelsOf({ seed: 1 }, { seed: 2 }, ...executed.map((settings) => ({ settings })))).toEqual([['salora', 6]])
  })

  const digest = (letter: string): string => letter.repeat(64)
  /** A run on a file, with the digests that a run stores. */
  const onFile = (file: string, rows: string, weights: string, more: MadeRun & { readonly model?: string } = {}): MadeRun => ({
    ...more,
    config: {
      model: more.model ?? '/models/M',
      task: { task: file },
      inputs: {
        'training rows': `36 of sha256 ${digest(rows)}`,
        'evaluation rows': `4 of sha256 ${digest(rows)}`,
        "the model's model.safetensors": digest(weights),
      },
      ...more.config,
    },
  })
  const seriesFor = (...made: readonly MadeRun[]) =>
    groupSeries(made.map(finished)).map(({ task, label, runs }) => [task, label, runs.length])

  it('has no runs on other files or models of the same name, which are named with their folders', () => {
    expect(seriesFor(onFile('/q/x/train.csv', 'a', 'd'), onFile('/q/y/train.csv', 'b', 'd'))).toEqual([
      ['x/train.csv', 'salora', 1],
      ['y/train.csv', 'salora', 1],
    ])
    const models = ['/q/a/M', '/q/b/M'] as const
    const [first, second] = models.map((model, i) => onFile('train.csv', 'a', String(i), { model }))
    expect(seriesFor(first ?? {}, second ?? {})).toEqual([
      ['train.csv', 'salora, model a/M', 1],
      ['train.csv', 'salora, model b/M', 1],
    ])
    // runs that stored no digests
    expect(seriesFor(...models.map((model) => ({ config: { model } })))).toEqual([
      ['mrpc', 'salora, model a/M', 1],
      ['mrpc', 'salora, model b/M', 1],
    ])
    const data = ['/q/x/MRPC', 'C:\\y\\MRPC'].map((folder) => ({ config: { task: { task: 'mrpc', data: folder } } }))
    expect(seriesFor(...data).map(([, label]) => label)).toEqual(['salora, data x/MRPC', 'salora, data y/MRPC'])
  })

  it('has runs on a file and a model that were moved', () => {
    const moved = onFile('/elsewhere/train.csv', 'a', 'd', { model: '/elsewhere/M', seed: 1 })
    expect(seriesFor(onFile('/q/train.csv', 'a', 'd'), moved)).toEqual([['train.csv', 'salora', 2]])
  })

  it('has no runs on a file or a model that was changed, and says by which digest', () => {
    expect(seriesFor(onFile('/q/train.csv', 'a', 'd'), onFile('/q/train.csv', 'a', 'e'))).toEqual([
      ['train.csv', "salora, the model's model.safetensors dddddddd", 1],
      ['train.csv', "salora, the model's model.safetensors eeeeeeee", 1],
    ])
    expect(seriesFor(onFile('/q/train.csv', 'a', 'd'), onFile('/q/train.csv', 'b', 'd'))[1]).toEqual([
      'train.csv',
      'salora, training rows 36 of sha256 bbbbbbbb, evaluation rows 4 of sha256 bbbbbbbb',
      1,
    ])
  })

  /** A run that holds out one of several folds, whose rows are others than those of each other fold. */
  const onFold = (index: number, { of = 5, file = 'a', ...more }: MadeRun & { readonly of?: number; readonly file?: string } = {}) =>
    onFile('a.csv', file + index, 'd', { ...more, config: { task: { task: 'a.csv', fold: { index, of } } } })

  it('has the folds of a candidate, but not those of another number of folds', () => {
    expect(seriesFor(onFold(0), onFold(1), onFold(4))).toEqual([['a.csv', 'salora', 3]])
    expect(seriesFor(onFold(0), onFold(1), onFold(0, { of: 2 }), onFile('a.csv', 'c', 'd'))).toEqual([
      ['a.csv', 'salora, folds 5', 2],
      ['a.csv', 'salora, folds 2', 1],
      ['a.csv', 'salora', 1],
    ])
  })

  it('has no folds of a file before and after a change', () =>
    expect(seriesFor(onFold(0), onFold(1), onFold(0, { file: 'b' })).map(([, , runs]) => runs)).toEqual([1, 1, 1]))

  it('has the mean over folds, and says so', () => {
    const { table, caption } = seriesTable(groupSeries([0.5, 0.75, 1].map((accuracy, i) => finished(onFold(i, { accuracy })))))
    expect(table.rows.map((row) => row[table.columns.indexOf('kept')])).toEqual(['75.0 % ± 25.0 %'])
    expect(caption).toContain('Runs that differ only in their seed or fold form a series')
  })

  it('is named by the settings in which the runs of its method differ', () =>
    expect(
      labelsOf({ settings: { rank: 2, learningRate: 0.25 } }, { settings: { rank: 4, learningRate: 0.5 } }, { method: 'lora' }).map(
        ([label]) => label,
      ),
    ).toEqual(['salora, rank 2, learning rate 0.25', 'salora, rank 4, learning rate 0.5', 'lora']))

  it('is named by a layer if all adapted matrices are in it, and otherwise by the matrices', () => {
    const of = (...targetModules: readonly string[]) => ({ settings: { targetModules } })
    expect(labelsOf(of('h.3.query', 'h.3.key'), of('h.1.query', 'h.2.query'), of('query')).map(([label]) => label)).toEqual([
      'salora, target modules layer 3',
      'salora, target modules h.1.query h.2.query',
      'salora, target modules query',
    ])
  })

  it("is shown by the paper's metric of its task if it was scored by it, and otherwise by its first metric", () => {
    expect(chooseMetric('cola', { loss: 1, accuracy: 1, matthews: 1 })).toBe('matthews')
    expect(chooseMetric('cola', { accuracy: 1, loss: 1 })).toBe('accuracy')
    expect(chooseMetric('reviews', { f1: 1, accuracy: 1 })).toBe('f1')
    expect(chooseMetric('reviews', {})).toBe('loss')
  })

  it('costs the mean time and the largest memory of its runs, and its method what is not in the head', () => {
    const runs = [1, 3, 2].map((n, seed) => finished({ seed, result: { seconds: n, peakMemoryBytes: 1000 * n } }))
    const [header = '', row = ''] = (seriesTable(groupSeries(runs)).csv ?? '').split(/\r?\n/)
    const cells = Object.fromEntries(header.split(',').map((name, i) => [name, row.split(',')[i]]))
    expect(cells).toMatchObject({
      runs: '3',
      seconds: '2',
      'peak memory (bytes)': '3000',
      'method parameters': '1010',
      'head parameters': '20',
    })
  })
})

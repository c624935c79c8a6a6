/** salora train --metric and evaluate --metric: a module's metric among the scores, as the choice of the best step, and when it fails. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { computeScore } from '../../finetuning/metrics/customMetric.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'
import { groupSeries } from '../../reporting/runs/series.js'
import { bestRun, bestSeries } from '../../reporting/runs/scores.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { writeTinyModel } from './tinyModel.js'
import { toyFile, toyRows } from './toyTask.js'

const { folder: cwd, write } = temporaryFolder('custom-metric')
const module = (name: string, body: string, higherIsBetter = true): string =>
  `export const name = '${name}'\nexport const higherIsBetter = ${higherIsBetter}\nexport const score = (predictions, labels) => ${body}\n`
const errors = 'labels.filter((label, i) => label !== predictions[i]).length / labels.length'

beforeAll(async () => {
  await writeTinyModel(join(cwd, 'tiny'))
  write('toy.tsv', toyFile(40))
  write('dev.tsv', toyFile(20))
  write(
    'rated.jsonl',
    toyRows(48)
      .map(({ text, label }) => JSON.stringify({ text, label: label === 'good' ? 4.5 : 1 }))
      .join('\n'),
  )
  write(
    'many.jsonl',
    toyRows(24)
      .map(({ text, label }) => JSON.stringify({ text, label: label === 'good' ? ['good', 'film'] : ['film'] }))
      .join('\n'),
  )
  write('words.conll', Array.from({ length: 20 }, (_, i) => `Anna B-PER\nruns${i} O\n`).join('\n'))
  write('errorRate.mjs', module('errorRate', errors, false))
})

const run = (...args: readonly string[]) => saloraIn([...args, '--device', 'cpu', '--threads', '1', '--quiet', '--json'], { cwd })
const train = (...args: readonly string[]) =>
  run(
    ...['train', '--model', 'tiny', '--method', 'lora', '--max-steps', '6', '--eval-steps', '2', '--batch-size', '8', '--max-length', '16'],
    ...['--learning-rate', '1e-2', ...(args.includes('--task') ? [] : ['--task', 'toy.tsv', '--eval-data', 'dev.tsv']), ...args],
  )
const unwarned = (stderr: string): string => stderr.replaceAll(/^warning: .*\n/gm, '')
const resultOf = (stdout: string): RunResult => JSON.parse(stdout) as RunResult
/** What the metric of a module was called with, by a module that throws it. */
const seenBy = async (
  ...args: readonly string[]
): Promise<{ readonly predictions: readonly unknown[]; readonly labels: readonly unknown[] }> => {
  const file = `seen-${Math.random()}.mjs`
  write(
    file,
    `import { writeFileSync } from 'node:fs'\n${module('seen', `(writeFileSync(${JSON.stringify(join(cwd, 'seen.json'))}, JSON.stringify({ predictions, labels })), 1)`)}`,
  )
  const { code, stderr } = await train(...args, '--metric', file, '--max-steps', '2', '--output', file.slice(0, -4))
  expect([code, unwarned(stderr)]).toEqual([0, ''])
  return JSON.parse(await readFile(join(cwd, 'seen.json'), 'utf8')) as {
    readonly predictions: readonly unknown[]
    readonly labels: readonly unknown[]
  }
}

describe('a custom metric', () => {
  it('is the first score, and selects the best step by its direction', async () => {
    const { code, stdout, stderr } = await train('--metric', 'errorRate.mjs', '--output', 'chosen')
    expect([code, unwarned(stderr)]).toEqual([0, ''])
    const { best, last, selectedBy, customMetric } = resultOf(stdout)
    expect([selectedBy, customMetric]).toEqual(['errorRate', { name: 'errorRate', higherIsBetter: false }])
    expect(Object.keys(last.scores)[0]).toBe('errorRate')
    for (const scores of [best?.scores, last.scores]) expect(scores?.['errorRate']).toBeCloseTo(1 - Number(scores?.['accuracy']), 12)
    expect(best?.selection).toBeCloseTo(-Number(best?.scores['errorRate']), 12)
    type Line = { readonly kind: string; readonly scores?: Readonly<Record<string, number>> }
    const evaluations = jsonLines<Line>(await readFile(join(cwd, 'chosen/metrics.jsonl'), 'utf8'))
      .filter(({ kind }) => kind === 'evaluation')
      .map(({ scores }) => Number(scores?.['errorRate']))
    expect(best?.scores['errorRate']).toBe(Math.min(...evaluations))
    expect((await readRunConfig(join(cwd, 'chosen')))?.metric).toMatchObject({ name: 'errorRate', higherIsBetter: false })
    const evaluated = await run('evaluate', '--run', 'chosen', '--metric', 'errorRate.mjs')
    expect((JSON.parse(evaluated.stdout) as { readonly scores: object }).scores).toMatchObject({ errorRate: best?.scores['errorRate'] })
  })

  it('leaves the choice to another metric that is named', async () => {
    const { stdout } = await train('--metric', 'errorRate.mjs', '--metric-for-best-model', 'loss', '--output', 'other')
    const { best, selectedBy, last } = resultOf(stdout)
    expect([selectedBy, best?.selection]).toEqual(['loss', -Number(best?.scores['loss'])])
    expect(Object.keys(last.scores).at(-1)).toBe('errorRate')
    const named = await train('--metric', 'errorRate.mjs', '--metric-for-best-model', 'errorRate', '--output', 'named')
    expect(resultOf(named.stdout).selectedBy).toBe('errorRate')
  })

  it('reads classes by name, numbers, sets of classes, and the tags of words', async () => {
    const classes = await seenBy()
    expect(classes.labels).toEqual(toyRows(20).map(({ label }) => label))
    expect(classes.predictions.every((name) => name === 'good' || name === 'bad')).toBe(true)
    const numbers = await seenBy('--task', 'rated.jsonl', '--problem-type', 'regression')
    expect(new Set(numbers.labels)).toEqual(new Set([4.5, 1]))
    expect(numbers.predictions.every(Number.isFinite)).toBe(true)
    const sets = await seenBy('--task', 'many.jsonl', '--problem-type', 'multi-label')
    expect(sets.labels).toContainEqual(['film', 'good'])
    const tags = await seenBy('--task', 'words.conll')
    expect(tags.labels[0]).toEqual(['B-PER', 'O'])
  })

  it.each<readonly [string, string, RegExp]>([
    ['is NaN', 'NaN', /a finite number from the metric late, got NaN;/],
    ['throws', "(() => { throw new Error('no\\nwords') })()", /a number from the metric late, got an error: "no\\u000awords";/],
  ])('that %s ends the run in one line, and loses no step', async (name, body, message) => {
    const [file, output] = [`late-${name.replaceAll(' ', '-')}.mjs`, `late-${name.replaceAll(' ', '-')}`]
    write(file, module('late', `++calls < 2 ? 0.5 : ${body}`).replace(/^/, 'let calls = 0\n'))
    const { code, stdout, stderr } = await train('--metric', file, '--output', output)
    expect([code === 0, stdout]).toEqual([false, ''])
    const [line, ...more] = stderr
      .replaceAll(/^warning: .*\n/gm, '')
      .trim()
      .split('\n')
    expect(more).toEqual([])
    expect(line).toMatch(message)
    expect(line).toMatch(/; step 4 is saved, and --resume evaluates it again$/)
    await writeFile(join(cwd, `mended-${file}`), module('late', '0.25'))
    const resumed = await train('--resume', '--metric', `mended-${file}`, '--output', output)
    expect(resumed.stderr).toMatch(/the module of the metric late has changed/)
    expect(resultOf(resumed.stdout)).toMatchObject({ stepsDone: 6, interrupted: false, best: { step: 2, scores: { late: 0.5 } } })
  })

  it('that is asynchronous is refused', () => {
    const late = { name: 'late', higherIsBetter: true, score: async () => 1 } as never
    expect(() => computeScore(late, 'late.mjs', { predictions: [], labels: [] })).toThrow(
      /^late\.mjs: expected a finite number from the metric late, got \{\}$/,
    )
  })

  it('is named again by a resumed run: nothing in a folder is executed', async () => {
    write('stop.mjs', module('stop', '++calls < 2 ? 0.5 : NaN').replace(/^/, 'let calls = 0\n'))
    await train('--metric', 'stop.mjs', '--output', 'again')
    const without = await run('train', '--resume', '--output', 'again')
    expect(unwarned(without.stderr)).toMatch(/^--metric: expected the module of stop, which the run began with, got none\n$/)
    const other = await run('train', '--resume', '--output', 'again', '--metric', 'errorRate.mjs')
    expect(unwarned(other.stderr)).toMatch(/^--metric: expected the module of stop, which the run began with, got errorRate\n$/)
  })

  it('has its direction in reports', () => {
    const config = { task: { task: 'toy.tsv' }, settings: { method: 'lora' }, model: 'm' }
    const made = (name: string, errorRate: number) => ({
      ...{ folder: name, name, place: null, config },
      result: {
        last: { step: 1, scores: { errorRate } },
        best: { step: 1, scores: { errorRate } },
        customMetric: { name: 'errorRate', higherIsBetter: false },
      },
    })
    const series = groupSeries([made('worse', 0.5), made('better', 0.25), made('worst', 0.75)] as never)
    expect(series[0]).toMatchObject({ metric: 'errorRate', lowerIsBetter: true })
    expect(bestSeries(series).map((one) => bestRun(one)?.name)).toEqual(['better'])
  })
})

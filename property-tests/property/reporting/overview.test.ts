/** The first screen of a report: the best series of a task with the next one, its size, time and memory. */
import { describe, expect, it } from 'vitest'
import { groupSeries } from '../../../reporting/runs/series.js'
import type { FinishedRun } from '../../../reporting/runs/collectRuns.js'
import { buildOverview, type Overview } from '../../../reporting/report/overview.js'
import { madeRun, type MadeRun } from './reportRuns.js'

const finished = (name: string, made: MadeRun): FinishedRun => {
  const { config, result } = madeRun({ task: 'reviews', ...made })
  return { folder: name, name, place: null, config, result } as unknown as FinishedRun
}
const overview = (...runs: readonly FinishedRun[]): Overview => buildOverview(runs, groupSeries(runs), 'all')
const numberOf = ({ numbers }: Overview, name: string) => numbers.find((one) => one.name === name) ?? expect.fail(`no ${name}`)

describe('the overview of several runs', () => {
  const shown = overview(
    finished('full', { method: 'full', accuracy: 0.6 }),
    finished('one', { seed: 0, accuracy: 0.9, result: { peakMemoryBytes: 1e6, seconds: 10, finishedAt: '2026-11-28T01:02:03.000Z' } }),
    finished('two', { seed: 1, accuracy: 0.8, result: { peakMemoryBytes: 3e6, seconds: 20, finishedAt: '2026-11-27T01:02:03.000Z' } }),
    finished('lora', { method: 'lora', accuracy: 0.7 }),
    finished('other', { method: 'lora', task: 'films', accuracy: 0.95 }),
  )

  it('has the best series of each task, and the second best one of that task', () => {
    expect(numberOf(shown, 'films: Accuracy')).toMatchObject({ value: '95.0', details: expect.arrayContaining(['films, lora']) as unknown })
    const { value, unit, details } = numberOf(shown, 'reviews: Accuracy')
    expect([value, unit]).toEqual(['85.0', '%'])
    expect(details.filter((line) => line.includes('next'))).toEqual(['reviews, salora, mean of 2 runs; next: lora 70.0 %'])
  })

  it('has the mean time and the largest memory of the runs', () => {
    expect([numberOf(shown, 'Time'), numberOf(shown, 'Peak memory')].map(({ value, unit }) => [value, unit])).toEqual([
      ['15', 's'],
      ['3', 'MB'],
    ])
  })

  it('has a score of its own for a run of the same file with another metric, and each names task, metric and run', () => {
    const scores = { pearson: 0.5, loss: 2 }
    const scored = {
      config: { task: { task: 'reviews', data: '/home/someone/glue', problemType: 'regression' } },
      result: { best: { step: 4, scores }, last: { step: 4, scores } },
    }
    const { numbers } = overview(finished('classes', { accuracy: 0.75 }), finished('numbers', scored))
    const [classes, numeric, ...others] = numbers
    expect([classes?.name, classes?.value, numeric?.name, numeric?.value]).toEqual([
      ...['reviews: Accuracy', '75.0'],
      ...["reviews (pearson): Pearson's correlation", '0.5'],
    ])
    expect(classes?.details).toContain('reviews, salora')
    expect(numeric?.details).toContain('reviews (pearson), salora, problem type regression')
    for (const { details } of others) expect(details[0]).toBe('reviews, salora')
  })

  it('names two models of the same name with their folders', () => {
    const of = (model: string) => finished(model, { config: { model } })
    expect(overview(of('/q/a/M'), of('/q/b/M')).lead).toMatch(/^a\/M and b\/M fine-tuned with salora · 2 runs in 2 series/)
  })

  it('names the methods, the numbers of runs and tasks, and the latest end', () =>
    expect(shown.lead).toBe('tiny fine-tuned with full, salora, lora · 5 runs in 4 series of 2 tasks · 28 November 2026, 01:02 UTC'))
})

describe('the overview of a run', () => {
  it('begins with the score that selected its checkpoint, though its files have others first', () => {
    const evaluation = { step: 4, scores: { precision: 0.3, recall: 0.2, f1: 0.25 } }
    const tagged = overview(finished('tagged', { result: { best: evaluation, last: evaluation, selectedBy: 'f1' } }))
    expect([tagged.numbers[0]?.name, tagged.numbers[0]?.value]).toEqual(['F1', '25.0'])
  })

  it('has the share of the adapter that pruning kept, without its gates', () => {
    const { value, details, bar } = numberOf(overview(finished('pruned', { result: { retainedParameters: 250 } })), 'Parameters kept')
    expect([value, details, bar]).toEqual(['250', ["25.0 % of the adapter's 1,000", 'and 20 in the head'], { share: 0.25, baseline: null }])
  })

  it('has the time of a step that was taken, of a run that was interrupted', () => {
    const stopped = finished('stopped', { steps: 4, result: { stepsDone: 2, seconds: 10, interrupted: true } })
    expect(numberOf(overview(stopped), 'Time').details).toEqual(['2 steps, 5 s each', 'on cpu, float32', 'interrupted before its end'])
  })

  it('has the score on test data where there is one, with its rows and interval', () => {
    const result = { test: { step: 4, scores: { accuracy: 0.85 } }, examples: { training: 80, evaluation: 10, test: 20 } }
    const [first] = overview(finished('tested', { accuracy: 0.7, result })).numbers
    expect([first?.name, first?.value]).toEqual(['Accuracy on test data', '85.0'])
    expect(first?.details).toEqual(expect.arrayContaining(['17 of 20 rows (95 % interval: 64 to 95 %)', 'on evaluation data: 70.0 %']))
    const folded = overview(finished('folded', { accuracy: 0.85, result: { folds: 5, examples: { training: 20, evaluation: 20 } } }))
    expect(folded.numbers[0]?.details).toContain('17 of 20 rows (95 % interval: 64 to 95 %), by 5 folds')
  })

  it('compares an accuracy with always predicting the most frequent class, and no other score', () => {
    const of = (made: MadeRun) =>
      overview(finished('run', { ...made, result: { majority: { label: 'good', share: 0.5 }, ...made.result } }))
    const accurate = of({ accuracy: 0.75 }).numbers[0]
    expect(accurate?.bar).toEqual({ share: 0.75, baseline: 0.5 })
    expect(accurate?.details[0]).toBe('+25.0 points over always “good” (50.0 %)')
    const evaluation = { step: 4, scores: { matthews: 0.25, accuracy: 0.75 } }
    const correlated = of({ result: { best: evaluation, last: evaluation } }).numbers[0]
    expect([correlated?.value, correlated?.bar]).toEqual(['0.25', null])
    expect(correlated?.details.some((line) => line.includes('always'))).toBe(false)
  })
})

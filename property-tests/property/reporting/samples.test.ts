/** Samples in report and board: which steps are kept, how texts are shown, and lines that no run writes. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sampleCollector, sampledSteps } from '../../../reporting/runs/runCurves.js'
import { samplesTables } from '../../../reporting/report/evaluationTables.js'
import { SEED } from '../../support/seed.js'

const sample = (prompt: unknown, text: string) => ({ prompt, text, tokens: 1, ended: 'end' })
const collected = (...steps: readonly (readonly [step: number, samples: unknown])[]) => {
  const collector = sampleCollector()
  for (const [step, samples] of steps) collector.add(step, samples, 'metrics.jsonl, line 1')
  return collector.samples()
}
const tableOf = (...steps: readonly (readonly [step: number, samples: unknown])[]) =>
  samplesTables([{ task: 'alpaca', name: 'runs/a', samples: collected(...steps) }])[0]

describe(`the samples of a run (seed ${SEED})`, () => {
  it('keep the first and the newest step, and between them steps at equal distances', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), (count) => {
        const steps = collected(...Array.from({ length: count }, (_, i) => [10 * (i + 1), [sample('p', 't')]] as const)).map(
          ({ step }) => step,
        )
        expect(steps.length).toBeLessThanOrEqual(sampledSteps + 1)
        expect([steps[0], steps.at(-1)]).toEqual([10, 10 * count])
        expect(steps.length).toBeGreaterThanOrEqual(Math.min(count, sampledSteps / 2))
        expect(new Set(steps.slice(1, -1).map((step, i) => step - (steps[i] ?? 0))).size).toBeLessThanOrEqual(1)
      }),
      { seed: SEED },
    ))

  it('are a table by prompt and step, in which steps with the same text share a row', () => {
    const table = tableOf(
      [10, [sample('a', 'x'), sample('b', 'one')]],
      [20, [sample('a', 'x'), sample('b', 'two')]],
      [30, [sample('a', 'y'), sample('b', '')]],
    )
    expect(table?.table).toEqual({
      columns: ['prompt', 'step', 'text'],
      rows: [
        ['a', '10 – 20', 'x'],
        ['', 30, 'y'],
        ['b', 10, 'one'],
        ['', 20, 'two'],
        ['', 30, '(nothing)'],
      ],
    })
    expect(table?.csv).toBe('prompt,step,text\na,10,x\na,20,x\na,30,y\nb,10,one\nb,20,two\nb,30,(nothing)\n')
  })

  it('name the run where there are several', () => {
    const samples = collected([10, [sample('a', 'x')]])
    const [table] = samplesTables(['first', 'second'].map((name) => ({ task: 'alpaca', name, samples })))
    expect(table?.table).toEqual({
      columns: ['task', 'run', 'prompt', 'step', 'text'],
      rows: [
        ['alpaca', 'first', 'a', 10, 'x'],
        ['alpaca', 'second', 'a', 10, 'x'],
      ],
    })
    expect(samplesTables([])).toEqual([])
  })

  it('show lines, control characters, conversations and long texts in one line each', () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Name a river.' },
    ]
    const rows = tableOf([1, [sample(messages, 'one\n\n two\u001b'), sample('p'.repeat(300), 't'.repeat(900))]])?.table.rows
    expect(rows?.[0]).toEqual(['system: Be brief. | user: Name a river.', 1, 'one ⏎ two\\u001b'])
    expect(rows?.[1]).toEqual([`${'p'.repeat(199)}…`, 1, `${'t'.repeat(499)}…`])
  })

  it.each<readonly [string, unknown, RegExp]>([
    ['no list', { text: 'x' }, /^metrics\.jsonl, line 1: expected a list of at most 32 samples, got object$/],
    ['a list that is too long', new Array(33).fill(sample('a', 'x')), /expected a list of at most 32 samples, got 33$/],
    ['a sample without a text', [{ prompt: 'a', text: 5 }], /expected a text in each sample, got number$/],
    ['a sample that is none', [null], /expected a text in each sample, got undefined$/],
  ])('are refused in one line: %s', (_, samples, message) => {
    expect(() => collected([1, samples])).toThrow(message)
  })
})

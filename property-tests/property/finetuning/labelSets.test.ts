/** Multi-label data: reading, scores and loss, against numbers of scikit-learn and closed forms. */
import { findClasses, labelsIn } from '../../../finetuning/data/labels.js'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { input } from '../../../accelerated/graph/operators.js'
import { binaryCrossEntropySum } from '../../../accelerated/objectives/losses.js'
import { loadEvaluation, loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { predictedSets, reportBySets, scoreSets } from '../../../finetuning/tasks/multiLabel/index.js'
import { assertClose } from '../../support/assertClose.js'
import { evaluate, float64, int32, resultOf } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { refusalOf } from '../../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-sets-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const line = async (options: TaskOptions): Promise<string> => (await refusalOf(() => loadTask(options))).replaceAll(`${folder}/`, '')

describe('rows of multi-label data', () => {
  const expected = [[1, 2], [], [0], [2]]

  it('are read from cells with | between the labels, and from lists in JSON', async () => {
    const cells = file('cells.tsv', 'text\tlabel\na\tfast|loud\nb\t\nc\tdull \nd\t| loud\n')
    const json = [['fast', 'loud'], [], ['dull'], 'loud'].map((label, i) => JSON.stringify({ text: 'abcd'[i], label })).join('\n')
    for (const task of [cells, file('lists.jsonl', json)]) {
      const { evaluation, selectionMetric } = await loadEvaluation({ task, problemType: 'multi-label' })
      expect([evaluation.labelNames, evaluation.examples.map(({ labels }) => labels), selectionMetric]).toEqual([
        ['dull', 'fast', 'loud'],
        expected,
        'microF1',
      ])
    }
  })

  it('are held out for any combination of labels, and use the labels of the training data', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => `text ${i}\tl${i}|l${i + 1}`)
    const task = file('many.tsv', ['text\tlabel', ...rows].join('\n'))
    expect((await loadTask({ task, problemType: 'multi-label' })).evaluation.examples).toHaveLength(4)
    expect(await line({ task, problemType: 'multi-label', evalData: file('other.tsv', 'text\tlabel\na\tl1|new\n') })).toMatch(
      /^other\.tsv, row 2: expected a label of the training data \(.*\), got "new"$/,
    )
    expect(await line({ task, problemType: 'multi-label', positiveLabel: 'l1' })).toBe(
      '--positive-label: expected none with --problem-type multi-label, where every class has its own F1, got "l1"',
    )
    expect(await line({ task: file('bare.tsv', 'text\tlabel\na\t\nb\t\n'), problemType: 'multi-label' })).toBe(
      'bare.tsv: expected at least two classes (several labels of one row with | between them), got none',
    )
  })
})

describe('multi-label scores', () => {
  // scikit-learn: f1_score([[0,1,0],[1,1,0],[0,0,1]], [[0,1,0],[1,0,1],[0,1,1]]): micro 2·3/(2·3 + 2 + 1), macro (1 + 1/2 + 2/3)/3
  const outputs = [
    [-1, 2, -3],
    [0.5, -1, 1],
    [-2, 0.1, 3],
  ]
  const labels = [[1], [0, 1], [2]]

  it('are those of scikit-learn', () => {
    expect(predictedSets(outputs)).toEqual([[1], [0, 2], [1, 2]])
    const { accuracy, microF1, macroF1 } = scoreSets(outputs, labels)
    expect(accuracy).toBeCloseTo(1 / 3, 15)
    expect(microF1).toBeCloseTo(6 / 9, 15)
    expect(macroF1).toBeCloseTo((1 + 1 / 2 + 2 / 3) / 3, 15)
    expect(reportBySets(predictedSets(outputs), labels, 3)).toEqual([
      { precision: 1, recall: 1, f1: 1, examples: 1 },
      { precision: 0.5, recall: 0.5, f1: 0.5, examples: 2 },
      { precision: 0.5, recall: 1, f1: 2 / 3, examples: 1 },
    ])
  })

  it('have the mean binary cross-entropy as loss, for logits of any size', () => {
    expect(scoreSets([[0, Math.log(3)]], [[1]]).loss).toBeCloseTo((Math.log(2) + Math.log(4 / 3)) / 2, 15)
    expect(scoreSets([[1e30, -1e30]], [[0]]).loss).toBe(0)
    expect(scoreSets([[1e30, 0]], [[]]).loss).toBeCloseTo(5e29, -20)
  })
})

describe(`the multi-label training loss, seed ${SEED}`, () => {
  it('is the sum of binary cross-entropies, and its gradient σ(x) − y', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.tuple(fc.oneof(fc.double({ min: -40, max: 40, noNaN: true }), fc.constantFrom(0, 800, -800)), fc.integer({ min: 0, max: 1 })),
          { minLength: 6, maxLength: 6 },
        ),
        async (pairs) => {
          const [x, y] = [pairs.map(([value]) => value), pairs.map(([, flag]) => flag)]
          const logits = input('logits', ['batch', 3], 'float64')
          const loss = binaryCrossEntropySum(logits, input('labels', ['batch', 3], 'int32'))
          const [slope] = gradient(loss, [logits])
          const results = await evaluate({ loss, slope: slope! }, { logits: float64(x, [2, 3]), labels: int32(y, [2, 3]) })
          const terms = x.map((value, i) => Math.max(value, 0) - value * y[i]! + Math.log1p(Math.exp(-Math.abs(value))))
          assertClose(resultOf(results, 'loss'), [terms.reduce((a, b) => a + b, 0)], { relative: 1e-12, absolute: 1e-12, name: 'loss' })
          assertClose(
            resultOf(results, 'slope'),
            x.map((value, i) => 1 / (1 + Math.exp(-value)) - y[i]!),
            { relative: 1e-9, absolute: 1e-12, name: 'gradient' },
          )
        },
      ),
      { seed: SEED, numRuns: 20 },
    ))
})

it('the labels of a cell count once each, without blanks around them and without empty ones', () => {
  expect(labelsIn(' a | b|a||  ')).toEqual(['a', 'b'])
  expect(labelsIn('')).toEqual([])
})

it('labels that are to stay text are as many classes as they have forms', () => {
  const written = new Map([
    ['2', 1],
    ['1.0', 2],
    ['1', 3],
  ])
  expect(findClasses('file', written, true)).toMatchObject({ names: ['1', '1.0', '2'], merged: [] })
  expect(findClasses('file', written)).toMatchObject({ names: ['1', '2'], merged: [['1.0', '1']] })
})

it('a logit of exactly 0 is no label, and only an equal set counts as accurate', () => {
  expect(predictedSets([[0, 0.1, -0.1]])).toEqual([[1]])
  const [one, both, none] = [
    [2, -2],
    [2, 2],
    [-2, -2],
  ] as const
  expect(scoreSets([one, both, none], [[0, 1], [0, 1], []]).accuracy).toBe(2 / 3) // a part of the labels is not enough
  expect(scoreSets([both, one], [[0], [0]]).accuracy).toBe(1 / 2) // nor is more than the labels
})

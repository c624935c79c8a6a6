/** An evaluation as text: columns as wide as their longest cell, shortened names, and a confusion matrix of up to twelve classes. */
import { describe, expect, it } from 'vitest'
import { scoreLines } from '../../cli/commands/evaluate.js'
import { alignedTable } from '../../evaluation/tables/tableText.js'
import type { AdapterScore } from '../../finetuning/use/scoreAdapter.js'

/** The lines of an evaluation whose classes have these names; every example of class i is predicted as class 0. */
const linesOf = (labels: readonly string[]): readonly string[] =>
  scoreLines({
    scores: { accuracy: 0.25 },
    majority: null,
    positive: null,
    byClass: labels.map((label) => ({ label, precision: 0.5, recall: 0, f1: 1, examples: 1_234 })),
    confusion: labels.map((_, i) => labels.map((__, j) => (j === 0 ? 1_000 + i : 0))),
  } as unknown as AdapterScore)

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `class ${i}`)

describe('an evaluation as text', () => {
  it('has a line for each score, a line for each class, and the confusion matrix with the labels down', () => {
    expect(linesOf(['bad', 'very good'])).toEqual([
      'accuracy    0.2500',
      '',
      'class      precision  recall      f1  examples',
      'bad           0.5000  0.0000  1.0000     1,234',
      'very good     0.5000  0.0000  1.0000     1,234',
      '',
      'label, predicted as    bad  very good',
      'bad                  1,000          0',
      'very good            1,001          0',
    ])
  })

  it('has the confusion matrix of twelve classes, and not that of thirteen', () => {
    const matrices = (count: number) => linesOf(names(count)).filter((line) => line.startsWith('label, predicted as'))
    expect([matrices(12).length, matrices(13).length]).toEqual([1, 0])
    expect(linesOf(names(12)).length).toBe(1 + 2 + 12 + 2 + 12)
  })

  it('has names of 24 characters in full, and 23 characters and an ellipsis of longer ones', () => {
    const [, , , first = '', second = ''] = linesOf(['a'.repeat(24), 'b'.repeat(25)])
    expect(first.split(' ')[0]).toBe('a'.repeat(24))
    expect(second.split(' ')[0]).toBe(`${'b'.repeat(23)}…`)
  })
})

describe('a table', () => {
  it('has columns as wide as their longest cell, whichever row has it', () => {
    expect(
      alignedTable([
        ['a', 'bb', 'c'],
        ['long', '1', '1,000'],
        ['', '22', ''],
      ]),
    ).toEqual(['a     bb      c', 'long   1  1,000', '      22'])
    expect(
      alignedTable(
        [
          ['a', 'b'],
          ['1', 'xyz'],
        ],
        { left: [1] },
      ),
    ).toEqual(['a  b', '1  xyz'])
  })
})

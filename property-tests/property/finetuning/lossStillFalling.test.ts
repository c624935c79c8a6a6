/** The advice to train longer: given where the loss falls until the end, and nowhere else. */
import { describe, expect, it } from 'vitest'
import { lossStillFalling } from '../../../cli/terminal/trainingRun.js'

const evaluations = (...losses: ReadonlyArray<number>) => losses.map((loss, i) => ({ step: 10 * (i + 1), scores: { loss } }))

describe('lossStillFalling', () => {
  it.each([
    ['falls at a steady rate', [1.5, 1.2, 0.9], { from: { step: 20, loss: 1.2 }, to: { step: 30, loss: 0.9 } }],
    ['falls at every of six evaluations', [6, 5, 4, 3, 2, 1], { from: { step: 40, loss: 3 }, to: { step: 60, loss: 1 } }],
    ['has settled', [1.5, 0.9, 0.89], null],
    ['rose again', [1.5, 0.5, 0.9], null],
    ['rose in the middle and fell again, but was lower before', [1, 0.4, 0.9, 0.8, 0.7, 0.5], null],
    ['was measured once', [1.5], null],
    ['was measured twice, the first time in the middle', [1.5, 0.5], { from: { step: 10, loss: 1.5 }, to: { step: 20, loss: 0.5 } }],
  ] as const)('of a loss that %s', (_, losses, expected) => {
    expect(lossStillFalling(evaluations(...losses))).toEqual(expected)
  })

  it('looks neither at the evaluation before the first step nor at those without a loss', () => {
    expect(lossStillFalling([{ step: 0, scores: { loss: 9 } }, ...evaluations(0.5)])).toBeNull()
    expect(lossStillFalling([{ step: 10, scores: { accuracy: 1 } }])).toBeNull()
  })
})

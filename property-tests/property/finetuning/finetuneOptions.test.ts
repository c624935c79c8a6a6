/** What a run is asked for: options that are refused, a finished run that is made longer, and the advice of one that still learns. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import type * as runs from '../../../finetuning/finetune.js'
import { lossStillFalling } from '../../../cli/terminal/trainingRun.js'
import { findExtension } from '../../../finetuning/run/runFolder.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

// not the set-up's, which trains in this thread
const { finetune } = await vi.importActual<typeof runs>('../../../finetuning/finetune.js')

const { folder } = temporaryFolder('options')
const output = join(folder, 'run')
const model = 'model'
const task = { task: 'sentiment' }

describe('the options of finetune', () => {
  it.each<readonly [string, unknown, string]>([
    ['no options', undefined, 'finetune: expected options (an object), got nothing'],
    ['no model', { task, output }, 'finetune: expected options whose model is a text, got nothing'],
    ['a number as model', { model: 5, task, output }, 'finetune: expected options whose model is a text, got 5'],
    ['no task', { model, output }, 'finetune: expected options whose task is an object, got nothing'],
    ['a task as text', { model, task: 'sentiment', output }, 'finetune: expected options whose task is an object, got "sentiment"'],
    ['an empty task', { model, task: {}, output }, 'finetune: expected options whose task.task is a text, got nothing'],
    [
      'a mistyped option of the task',
      { model, task: { task: 'reviews.csv', labl: 'stars' }, output },
      'task: expected an option of a task (did you mean "label"?), got "labl"',
    ],
    ['no output', { model, task }, 'finetune: expected options whose output is a text, got nothing'],
    ['an empty output', { model, task, output: '' }, 'finetune: expected options whose output is a text of at least 1 character, got ""'],
    ['a number as settings', { model, task, output, settings: 5 }, 'finetune: expected options whose settings is an object, got 5'],
    [
      'an unknown tracker',
      { model, task, output, reportTo: ['comet'] },
      'finetune: expected options whose reportTo.0 is mlflow, got "comet"',
    ],
    ['a text for resume', { model, task, output, resume: 'no' }, 'finetune: expected options whose resume is true or false, got "no"'],
  ])('are refused in one line: %s', async (_, options, message) => {
    expect(await refusalOf(() => finetune(options as never).next())).toBe(message)
    expect(existsSync(output)).toBe(false)
  })
})

const settings = (maxSteps: number | null, epochs = 3) => resolveSettings({ method: 'lora', maxSteps, epochs } as object)
const extended = (before: number | null, now: number | null, steps: number, done = 8, epochs = 3) =>
  findExtension({ settings: settings(before) }, { steps: 10, stepsDone: done }, settings(now, epochs), steps)

it('a finished run is extended to more steps than it took, with the length that it had', () => {
  expect(extended(10, 12, 12)).toEqual({ epochs: 3, maxSteps: 10, steps: 10, after: 8 })
  expect(extended(10, 9, 9)).toEqual({ epochs: 3, maxSteps: 10, steps: 10, after: 8 }) // it had stopped early
  expect(() => extended(10, 8, 8)).toThrow('maxSteps: expected more than the 8 steps that the finished run took, got 8 steps')
  expect(() => extended(10, null, 7, 8, 2)).toThrow('epochs: expected more than the 8 steps that the finished run took, got 7 steps')
})

it('a run of the same length, or one that has not finished, is not extended', () => {
  expect(extended(10, 10, 10)).toBe(null)
  expect(findExtension({ settings: settings(10) }, null, settings(12), 12)).toBe(null)
})

const evaluations = (...losses: readonly number[]) => losses.map((loss, i) => ({ step: 10 * (i + 1), scores: { loss } }))

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

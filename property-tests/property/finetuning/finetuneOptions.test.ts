/** What a caller without types may give to finetune: each mistake is one line that names the option, and no file is written. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import type * as runs from '../../../finetuning/finetune.js'
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

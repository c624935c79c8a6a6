/** The library's main calls with as few options as a user may give. */
import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  finetune,
  finetuneJob,
  loadTask,
  openTrainedAdapter,
  readRunConfig,
  resolveSettings,
  SettingsError,
  type FinetuneEvent,
  type SettingsInput,
} from '../../../index.js'
import { toyFile } from '../../cli/toyTask.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('library')
const run = async (settings: Parameters<typeof resolveSettings>[0], model = join(root, 'tiny')): Promise<void> => {
  const options = { model, task: { task: join(root, 'toy.tsv') }, output: join(root, 'run'), settings }
  for await (const _ of finetuneJob(options, new AbortController().signal));
}
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
  await writeFile(join(root, 'toy.tsv'), toyFile(40))
  await run({ method: 'lora', maxSteps: 2, maxLength: 16, device: 'cpu' })
})

describe('finetune', () => {
  it('resolves the settings that are given, and starts a new run unless `resume` is set', async () => {
    const config = await readRunConfig(join(root, 'run'))
    expect(config?.settings).toEqual(resolveSettings({ method: 'lora', learningRate: 4e-4, maxSteps: 2, maxLength: 16, device: 'cpu' }))
    await expect(run({ method: 'lora', maxLength: 16, device: 'cpu' })).rejects.toThrow('config.json of an earlier run')
  })

  it('refuses a folder with a run, and texts longer than the model, before it reads the data', async () => {
    const none = { model: join(root, 'tiny'), task: { task: join(root, 'no such file.tsv') } }
    const begin = async (output: string, settings: SettingsInput): Promise<void> => {
      for await (const _ of finetuneJob({ ...none, output: join(root, output), settings }, new AbortController().signal));
    }
    await expect(begin('run', {})).rejects.toThrow('config.json of an earlier run')
    await expect(begin('new', { maxLength: 100_000 })).rejects.toThrow("maxLength: expected at most the model's")
    await expect(begin('new', { maxLength: 16 })).rejects.toThrow('no such file.tsv')
  })

  it('refuses a wrong setting before it reads anything', async () => {
    await expect(run({ method: 'lora', rank: 0 }, join(root, 'no such model'))).rejects.toBeInstanceOf(SettingsError)
  })
})

/** Kinds of events, complete by their type. */
const kinds: Readonly<Record<FinetuneEvent['kind'], true>> = {
  ...{ preparing: true, data: true, warning: true, ready: true, estimate: true, start: true, step: true, ranks: true, phase: true },
  ...{ placement: true, evaluating: true, sampling: true, evaluation: true, samples: true, saved: true, workers: true, queue: true },
  ...{ tracking: true, calibration: true, test: true, result: true },
}

describe('a program', () => {
  it('finds every kind of event in the guide', async () => {
    const guide = await readFile(resolve('docs/how-to/library.md'), 'utf8')
    const table = guide.split('| `event.kind` |')[1]?.split('\n\n')[0] ?? ''
    const listed = table.split('\n').flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, kind]) => kind))
    expect(listed.toSorted()).toEqual(Object.keys(kinds).toSorted())
  })

  it('reads in its own words that a folder has a run', async () => {
    const options = { model: join(root, 'tiny'), task: { task: join(root, 'toy.tsv') }, output: join(root, 'run') }
    const trained = async (): Promise<void> => {
      for await (const _ of finetune({ ...options, settings: { maxLength: 16, device: 'cpu' } }));
    }
    await expect(trained()).rejects.toThrow(
      `output ${join(root, 'run')}: expected a new folder (or resume: true to continue the run in it), got config.json of an earlier run`,
    )
  })

  it.each([
    [{ metod: 'lora' }, 'settings: expected a setting of this version, got "metod" (did you mean "method"?)'],
    [{ learning_rate: 1 }, 'settings: expected a setting of this version, got "learning_rate" (did you mean "learningRate"?)'],
    [{ method: 'lorra' }, /^method: expected one of lora, .*, got "lorra" \(did you mean "lora"\?\)$/],
    [{ lrSchedulerType: 'cosin' }, /^lrSchedulerType: expected one of .*, got "cosin" \(did you mean "cosine"\?\)$/],
    [{ unknown: 1 }, /^settings: expected a setting of this version, got "unknown"$/],
  ])('gets the nearest setting as a suggestion: %j', (settings, message) =>
    expect(() => resolveSettings(settings as never)).toThrow(message),
  )

  it('gets the nearest option of a task as a suggestion', () =>
    expect(loadTask({ task: join(root, 'toy.tsv'), labl: 'stars' } as never)).rejects.toThrow(
      'task: expected an option of a task (did you mean "label"?), got "labl"',
    ))
})

it('gives an opened adapter the predictions that salora predict prints', async () => {
  const adapter = await openTrainedAdapter({ model: join(root, 'tiny'), adapter: join(root, 'run', 'adapter'), device: 'cpu' })
  const text = { text: 'good fine great film' }
  const [[logits = []], [prediction]] = [await adapter.predict([text]), await adapter.predictions([text])]
  await adapter.release()
  const powers = logits.map(Math.exp)
  const [bad = NaN, good = NaN] = powers.map((power) => power / powers.reduce((a, b) => a + b))
  expect(prediction).toEqual({
    label: good > bad ? 'good' : 'bad',
    score: expect.closeTo(Math.max(bad, good), 12) as number,
    scores: { bad: expect.closeTo(bad, 12) as number, good: expect.closeTo(good, 12) as number },
  })
})

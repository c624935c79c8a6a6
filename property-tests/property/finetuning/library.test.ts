/** The library's main calls with as few options as a user may give. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finetuneJob, openTrainedAdapter, readRunConfig, resolveSettings, SettingsError } from '../../../index.js'
import { toyFile } from '../../cli/toyTask.js'
import { writeTinyModel } from '../../cli/tinyModel.js'

let root = ''
const run = async (settings: Parameters<typeof resolveSettings>[0], model = join(root, 'tiny')): Promise<void> => {
  const options = { model, task: { task: join(root, 'toy.tsv') }, output: join(root, 'run'), settings }
  for await (const _ of finetuneJob(options, new AbortController().signal));
}
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-library-'))
  await writeTinyModel(join(root, 'tiny'))
  await writeFile(join(root, 'toy.tsv'), toyFile(40))
  await run({ method: 'lora', maxSteps: 2, maxLength: 16, device: 'cpu' })
})
afterAll(() => rm(root, { recursive: true }))

describe('finetune', () => {
  it('resolves the settings that are given, and starts a new run unless `resume` is set', async () => {
    const config = await readRunConfig(join(root, 'run'))
    expect(config?.settings).toEqual(resolveSettings({ method: 'lora', maxSteps: 2, maxLength: 16, device: 'cpu' }))
    await expect(run({ method: 'lora', maxLength: 16, device: 'cpu' })).rejects.toThrow('config.json of an earlier run')
  })

  it('refuses a wrong setting before it reads anything', async () => {
    await expect(run({ method: 'lora', rank: 0 }, join(root, 'no such model'))).rejects.toBeInstanceOf(SettingsError)
  })
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

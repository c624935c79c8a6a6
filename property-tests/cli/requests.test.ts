/** From flags and files to options: which of two sources an error names, and what a run's folder adds. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readPrompts } from '../../cli/input/promptInput.js'
import { adapterRequest } from '../../cli/options/adapterRequest.js'
import { layer, resolveLayers } from '../../cli/options/precedence.js'
import { madeRun } from '../property/reporting/reportRuns.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { typedRequest } from './typedFlags.js'

const { folder } = temporaryFolder('requests')

/** The folder of a run with this configuration besides. */
const runWith = async (name: string, more: object): Promise<string> => {
  const { config } = madeRun({ method: 'lora', settings: { maxSteps: 4, epochs: null } })
  await mkdir(join(folder, name, 'adapter'), { recursive: true })
  await writeFile(join(folder, name, 'adapter', 'adapter_config.json'), '{}')
  await writeFile(join(folder, name, 'config.json'), JSON.stringify({ ...config, ...more }))
  return join(folder, name)
}

describe('settings of several sources', () => {
  it('are those of the last source, which an error names', () => {
    expect(resolveLayers([layer('a.json', { rank: 4 }), layer('b.json', { rank: 2 }), layer(null, {})]).rank).toBe(2)
    expect(() => resolveLayers([layer('a.json', { rank: 4 }), layer('b.json', { rank: 0 }), layer(null, {})])).toThrow(/^b\.json: rank: /)
    expect(() => resolveLayers([layer('a.json', { rank: 4 }), layer(null, { rank: 0 })])).toThrow(/^--rank: /)
  })

  it('of a run that is continued for a number of epochs have no number of steps any more', async () => {
    const output = await runWith('longer', {})
    const settings = async (more: object) => (await typedRequest({ output, resume: true, ...more })).settings
    expect([(await settings({})).maxSteps, (await settings({})).epochs]).toEqual([4, null])
    const longer = await settings({ epochs: '2' })
    expect([longer.maxSteps, longer.epochs]).toEqual([null, 2])
    expect((await settings({ epochs: '2', maxSteps: '7' })).maxSteps).toBe(7)
  })
})

describe("a run's adapter", () => {
  it("is opened over the run's revision of its model, and over another model without it", async () => {
    const run = await runWith('pinned', { model: 'me/model', revision: 'f'.repeat(40) })
    expect((await adapterRequest({ run })).adapter).toMatchObject({ revision: 'f'.repeat(40), adapter: join(run, 'adapter') })
    const { adapter } = await adapterRequest({ run, model: 'me/other' })
    expect(adapter.revision).toBeUndefined()
  })
})

describe('a file of prompts', () => {
  it('may begin with a byte-order mark, have blank lines and carriage returns, and is numbered by its lines', async () => {
    const input = join(folder, 'prompts.jsonl')
    await writeFile(input, '\ufeff{"prompt":"one"}\r\n\n{"instruction":"two"}')
    expect(await readPrompts({ prompt: null, input, template: null }, 'alpaca')).toEqual([
      { where: `${input}, line 1`, prompt: { text: 'one' }, shown: 'one' },
      { where: `${input}, line 3`, prompt: { template: 'alpaca', instruction: 'two', input: '' }, shown: 'two' },
    ])
  })
})

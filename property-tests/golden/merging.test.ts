/**
 * Merged adapters against PEFT's `add_weighted_adapter` where it is right, and against the formulas in numpy where it is not: with rank_pattern (peft issue
 * 3737), rsLoRA and DoRA (3761). golden_merge.py made the numbers.
 */
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { lora, type LoraPhase } from '../../accelerated/methods/lora.js'
import { mergeAdapters, type MergeMethod } from '../../finetuning/use/mergeAdapters.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { expectExchanged, exportFolder } from './exchangeGolden.js'
import { predictGolden } from './exportGolden.js'
import { compareNumbers, expectAgreement, folderOf, goldenBounds, readGolden, tensorsIn } from './golden.js'

type Case = {
  readonly by: 'peft' | 'numpy'
  readonly adapters: readonly string[]
  readonly weights: readonly number[]
  readonly method: string
  readonly rank?: number
  readonly density?: number
  readonly seed?: number
  readonly intoBase?: boolean
  readonly logits: readonly (readonly number[])[]
}

const folder = join(folderOf('bert'), 'merging')
const { every, cases } = JSON.parse(readFileSync(join(folder, 'merging.json'), 'utf8')) as {
  readonly every: number
  readonly cases: Readonly<Record<string, Case>>
}
const numbers = tensorsIn(join(folder, 'merging.safetensors'))
const { folder: place } = temporaryFolder('merging')
const exported = exportFolder()

/** PEFT computed in float64; the files of a merged adapter have float32. */
const bound = 1e-6

const merged = async (name: string, output = join(place, name)): Promise<string> => {
  const { adapters, method, by: _, logits: __, ...options } = cases[name] as Case
  await mergeAdapters({
    ...options,
    model: folderOf('bert'),
    adapters: adapters.map((adapter) => join(folder, adapter)),
    method: method.replaceAll('_', '-') as MergeMethod,
    output,
  })
  return output
}

/** What the folder, an adapter or a model, adds to a matrix. */
const readUpdate = async (at: string, name: string, intoBase: boolean): Promise<readonly number[]> => {
  const base = await openModelFolder(folderOf('bert'))
  const tensor = base.tensors.get(`${name}.weight`)!
  const W = await readTensor(tensor)
  if (intoBase) {
    const V = await readTensor((await openModelFolder(at)).tensors.get(`${name}.weight`)!)
    return Array.from(V, (x, i) => x - W[i]!)
  }
  const { phase, settings, tensors } = await readAdapter(at, base)
  const zeros = new Float64Array(W.length)
  return Array.from(
    lora.export.merge!(
      phase as LoraPhase,
      settings as never,
      `${name}.weight`,
      () => zeros,
      (factor) => tensors.get(factor)!.data,
    )!,
  )
}

describe.each(Object.entries(cases))('%s', (name, { by, intoBase = false, logits }) => {
  it(`adds to each matrix what ${by} adds, and gives the logits of the base with that added by hand`, async () => {
    const at = await merged(name)
    for (const [key, { data }] of [...numbers].filter(([key]) => key.startsWith(`${name}/`))) {
      const update = await readUpdate(at, key.slice(name.length + 1), intoBase)
      const kept = update.filter((_, i) => i % every === 0)
      // W + ΔW in float32 lose digits of ΔW
      expectAgreement(`${name}, ${by}`, [compareNumbers(key, intoBase ? 20 * bound : bound, data, kept)])
    }
    const ours = await predictGolden('bert', intoBase ? null : at, readGolden('bert'), intoBase ? at : folderOf('bert'))
    expectAgreement(`${name}, logits`, [compareNumbers('logits', goldenBounds.float32, logits.flat(), ours)])
  })
})

it('writes an adapter of uneven ranks and scales that PEFT loads whole, to the same logits (peft issues 3737 and 3761)', async () => {
  const at = join(exported(), 'bert', 'merged-mix')
  await mkdir(join(exported(), 'bert'), { recursive: true })
  const config = JSON.parse(readFileSync(join(await merged('mix', at), 'adapter_config.json'), 'utf8')) as Record<string, unknown>
  expect(config).toMatchObject({ r: 9, lora_alpha: 9, use_rslora: false, base_model_name_or_path: 'golden/bert' })
  expect(config['rank_pattern']).toEqual({ 'bert.encoder.layer.0.attention.self.query': 7, 'bert.encoder.layer.1.output.dense': 6 })
  await expectExchanged('bert', 'merged-mix', at, await predictGolden('bert', at, readGolden('bert')))
})

/** LoRA's variants are PEFT's: rsLoRA, DoRA, LoRA+, dropout of each adapter's input, `all-linear`; what they compute, how they train, their files. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import type { Adapter } from '../../accelerated/formats/adapter.js'
import { exportMerged } from '../../accelerated/formats/exportMerged.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { offsetName, poolName } from '../../accelerated/models/layers/dropout.js'
import { floatFeed, type Feeds } from '../../accelerated/engines/feeds.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { targetedMatrices } from '../../accelerated/methods/targetedMatrices.js'
import { openGoldenRun } from './acceleratedGolden.js'
import { expectExchanged, exportFolder } from './exchangeGolden.js'
import { predictGolden, randomAdapter } from './exportGolden.js'
import {
  compareNumbers,
  compareTensors,
  expectAgreement,
  families,
  folderOf,
  goldenBounds,
  methodFolder,
  readMethod,
  readTensors,
  under,
  type Family,
  type GoldenBatch,
} from './golden.js'
import { byName, describeMethod } from './methodGolden.js'

type Dropped = {
  readonly modules: readonly string[]
  readonly float64: { readonly dropout: { readonly loss: number } }
}

const probability = 0.25

/** make_golden.py's formula: of module m, real token t of the batch, feature j, step s; everything counts from 0. */
const isKept = (m: number, t: number, j: number, s: number): boolean =>
  Math.floor(((2654435761 * (m + 1) + 2246822519 * (t + 1) + 3266489917 * (j + 1) + 668265263 * s) % 2 ** 32) / 2 ** 16) % 4 !== 0

/** One pool with the masks of all matrices, one after another. step null: everything is kept */
const masks = async (family: Family, batch: GoldenBatch, step: number | null, dtype: FloatType): Promise<Feeds> => {
  const { modules } = readMethod<Dropped>(family, 'lora-dropout')
  const { matrices } = (await openModelFolder(folderOf(family))).model.spec
  const tokens = batch.inputIds.flat().length
  const pool: number[] = []
  const offsets = modules.map((name, m) => {
    const offset = pool.length
    const features = matrices.find((matrix) => matrix.name === name)?.k ?? NaN
    for (let t = 0; t < tokens; t++)
      for (let j = 0; j < features; j++) pool.push(step === null ? 1 : isKept(m, t, j, step) ? 1 / (1 - probability) : 0)
    return [offsetName(`${name}.lora`), { data: BigInt64Array.of(BigInt(offset)), shape: [1] }] as const
  })
  return { [poolName(probability)]: floatFeed(pool, [pool.length], dtype), ...Object.fromEntries(offsets) }
}

const lora = ({ rank = NaN, alpha = NaN }: Readonly<Record<string, number>>) => ({ method: 'lora' as const, rank, loraAlpha: alpha })

describeMethod({ method: 'rslora', settings: (golden) => ({ ...lora(golden), useRslora: true }) })
describeMethod({ method: 'dora', settings: (golden) => ({ ...lora(golden), useDora: true }) })
describeMethod({ method: 'lora-plus', settings: (golden) => ({ ...lora(golden), loraplusLrRatio: golden['ratio'] ?? NaN }) })
describeMethod({ method: 'lora-dropout', settings: (golden) => ({ ...lora(golden), loraDropout: probability }), feeds: masks })

/** One with numbers everywhere, ranks that differ, and BERT's pooler in its head. */
const adapterOf = (family: Family, given: SettingsInput): Promise<Adapter> =>
  randomAdapter(family, { method: 'lora', rank: 2, loraAlpha: 3, rankPattern: { 'self.query': 1, 'layer.1.output.dense': 3 }, ...given })

const inFolder = async <T>(use: (folder: string) => Promise<T>): Promise<T> => {
  const folder = await mkdtemp(join(tmpdir(), 'salora-variants-'))
  return use(folder).finally(() => rm(folder, { recursive: true }))
}

const exported: Readonly<Record<string, SettingsInput>> = {
  rslora: { useRslora: true },
  dora: { useDora: true, loraDropout: 0.1 },
  'dora-rslora': { useDora: true, useRslora: true },
}
const folder = exportFolder()

describe.each(families)('LoRA on %s, by PEFT', (family) => {
  it('has our loss and gradients of DoRA under the same masks of dropout', async () => {
    const { settings, batches, float64 } = readMethod<Dropped>(family, 'dora')
    const tensors = readTensors(family, 'dora')
    const [first] = batches as readonly [GoldenBatch]
    const run = await openGoldenRun({
      family,
      dtype: 'float64',
      steps: settings.steps,
      settings: { ...lora(settings), useDora: true, loraDropout: probability },
    })
    const state = run.start(under(tensors, 'start/'))
    const { results, gradients } = await run.gradients(state, first, await masks(family, first, 0, 'float64'))
    await run.release()
    expectAgreement(`DoRA with dropout, ${family}`, [
      compareNumbers('loss', goldenBounds.float64, [float64.dropout.loss], Array.from(results['loss'] ?? [], Number)),
      ...compareTensors('gradient', goldenBounds.float64, under(tensors, 'float64/dropout/gradient/'), byName(run, gradients)),
    ])
  })

  it.each(['rslora', 'dora', 'lora-dropout', 'all-linear'] as const)(
    'gives the logits of the folder that PEFT saved: %s',
    async (method) => {
      const golden = readMethod(family, method)
      const logits = await predictGolden(family, join(methodFolder(family, method), 'saved'), golden)
      expectAgreement(`import, ${family}, ${method}`, [
        compareNumbers('logits', goldenBounds.float32, golden.saved['saved']?.flat() ?? [], logits),
      ])
    },
  )

  it('gives the same logits if the configuration has `all-linear` instead of names', () =>
    inFolder(async (folder) => {
      const [golden, saved] = [readMethod(family, 'all-linear'), join(methodFolder(family, 'all-linear'), 'saved')]
      await cp(saved, folder, { recursive: true })
      const config = JSON.parse(await readFile(join(saved, 'adapter_config.json'), 'utf8')) as object
      await writeFile(join(folder, 'adapter_config.json'), JSON.stringify({ ...config, target_modules: 'all-linear' }))
      expect(await predictGolden(family, folder, golden)).toEqual(await predictGolden(family, saved, golden))
    }))

  it.each(['rslora', 'dora', 'lora-dropout'] as const)("is written in PEFT's bytes after reading: %s", (method) =>
    inFolder(async (output) => {
      const [saved, base] = [join(methodFolder(family, method), 'saved'), await openModelFolder(folderOf(family))]
      await writeAdapter(output, await readAdapter(saved, base), base)
      expect(await readFile(join(output, 'adapter_model.safetensors'))).toEqual(await readFile(join(saved, 'adapter_model.safetensors')))
      const ours = JSON.parse(await readFile(join(output, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
      const theirs = JSON.parse(await readFile(join(saved, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
      for (const key of ['r', 'lora_alpha', 'lora_dropout', 'use_rslora', 'rank_pattern', 'alpha_pattern'])
        expect(ours[key], key).toEqual(theirs[key])
      expect(ours['use_dora'] ?? false).toBe(theirs['use_dora'])
    }),
  )

  it.each(Object.keys(exported))('loaded our %s without a missing or unexpected key, to the same logits', async (name) => {
    const at = join(folder(), family, name)
    await mkdir(at, { recursive: true })
    await writeAdapter(at, await adapterOf(family, exported[name] ?? {}), await openModelFolder(folderOf(family)))
    await expectExchanged(family, name, at, await predictGolden(family, at, readMethod(family, 'dora')))
  })

  it("adapts the matrices of PEFT's `all-linear`, except the pooler, which is trained with the head", async () => {
    const { modules } = readMethod<Pick<Dropped, 'modules'>>(family, 'all-linear')
    const { spec } = (await openModelFolder(folderOf(family))).model
    const ours = targetedMatrices(spec, { targetModules: ['all-linear'] }).map(({ name }) => name)
    expect(ours).toEqual(modules.filter((name) => name !== 'pooler.dense'))
    expect(() => targetedMatrices(spec, { targetModules: ['all-linear', 'query'] })).toThrow(
      /^targetModules: expected all-linear, or endings of /,
    )
  })

  it.each(Object.keys(exported))('gives the same logits with %s merged into its weights', (name) =>
    inFolder(async (output) => {
      const base = await openModelFolder(folderOf(family))
      const adapter = await adapterOf(family, exported[name] ?? {})
      await writeAdapter(output, adapter, base)
      const logits = await predictGolden(family, output, readMethod(family, 'dora'))
      const trained = { base, adapter, head: adapter.head }
      await inFolder(async (merged) => {
        await exportMerged(merged, trained, undefined)
        const predicted = await predictGolden(family, merged, readMethod(family, 'dora'))
        expectAgreement(`merged, ${family}, ${name}`, [compareNumbers('logits', goldenBounds.float32, logits, predicted)])
      })
    }),
  )
})

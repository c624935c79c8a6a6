/** Merging an adapter into weights: the numbers, their range, and the outputs in config.json. */
import { mkdir, stat } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { toLowRankAdapter } from '../../../accelerated/formats/peft/lora.js'
import { saveAdapter } from '../../../accelerated/formats/peft/peft.js'
import { writeSafetensors } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { mergedTensors } from '../../../accelerated/formats/mergedWeights.js'
import { trialTexts } from '../../../finetuning/use/exportComparison.js'
import { loadTrainedModel } from '../../../finetuning/use/openModel.js'
import { assertClose } from '../../support/assertClose.js'
import { writeAdapter, writeFamily } from '../tinyAdapter.js'
import { tinyConfig, tinyTensors, writeTinyModel } from '../tinyModel.js'
import { at, exported, families, json, logits, usePlace } from './folder.js'

usePlace()

describe('merging', () => {
  it('adds scale · B A to each adapted matrix, and copies the bytes of all others', async () => {
    const trained = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    const { modules } = toLowRankAdapter(trained.adapter)
    const plain = mergedTensors({ ...trained, adapter: { ...trained.adapter, phase: { matrices: [] }, tensors: new Map() } })
    const merged = mergedTensors(trained)
    for (const { name, d, k } of trained.base.model.spec.matrices) {
      const [W, actual] = [await plain.get(`${name}.weight`)!.read(), await merged.get(`${name}.weight`)!.read()]
      const pair = modules.get(name)
      const r = pair?.A.shape[0] ?? 0
      // alpha / rank = 2
      const update = (i: number, j: number): number =>
        Array.from({ length: r }, (_, c) => (pair?.B.data[i * r + c] ?? NaN) * (pair?.A.data[c * k + j] ?? NaN)).reduce((a, b) => a + b, 0)
      assertClose(
        actual,
        Array.from({ length: d * k }, (_, n) => (W[n] ?? NaN) + 2 * update(Math.floor(n / k), n % k)),
        { relative: 1e-15, name },
      )
    }
  })

  it('writes float32 from a float16 checkpoint, and float16 only on request, with less precision', async () => {
    await writeFamily(at('half'), 'roberta', 'F16')
    const given = { model: at('half'), adapter: at('roberta-adapter') }
    const wide = await exported('roberta', 'merged', 'half-wide', given)
    const narrow = await exported('roberta', 'merged', 'half-narrow', { ...given, precision: 'float16' })
    expect(wide.comparison.largestLogitDifference).toBeLessThan(1e-5 * wide.comparison.largestLogit)
    expect(narrow.comparison.largestLogitDifference).toBeGreaterThan(20 * wide.comparison.largestLogitDifference)
    expect(narrow.comparison.largestLogitDifference).toBeLessThan(1e-2 * wide.comparison.largestLogit)
    expect((await json(at('half-narrow', 'config.json')))['torch_dtype']).toBe('float16')
    expect((await stat(at('half-narrow', 'model.safetensors'))).size).toBeLessThan(
      0.6 * (await stat(at('half-wide', 'model.safetensors'))).size,
    )
  })

  it('reports the largest absolute logit difference over all texts and outputs', async () => {
    for (const family of families) {
      const { comparison } = await exported(family, 'merged', `${family}-coarse`, { precision: 'float16' })
      const [expected, actual] = [
        await logits(at(family), at(`${family}-adapter`), 'float32', trialTexts),
        await logits(at(`${family}-coarse`), null, 'float32', trialTexts),
      ]
      const changes = expected.map((x, i) => x - (actual[i] ?? NaN))
      assertClose(
        [comparison.largestLogitDifference, comparison.largestLogit],
        [changes, expected].map((all) => Math.max(...all.map(Math.abs))),
        { relative: 1e-3 },
      )
    }
  })

  it('does not hide logits that are not finite', async () => {
    const { adapter } = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    await mkdir(at('beyond'))
    // a dense layer of ones before a last layer whose first row overflows
    const fill: Readonly<Record<string, (i: number) => number>> = {
      'classifier.dense.bias': () => 100,
      'classifier.out_proj.weight': (i) => (i < 16 ? 3e38 : 1),
    }
    const head = new Map(
      [...adapter.head].map(([name, { shape, data }]) => [name, { shape, data: data.map((_, i) => fill[name]?.(i) ?? 0) }]),
    )
    await saveAdapter(at('beyond'), { ...toLowRankAdapter(adapter), baseModelName: 'm', labelNames: ['bad', 'good', 'neither'], head })
    await expect(exported('roberta', 'merged', 'beyond-merged', { adapter: at('beyond') })).rejects.toThrow(
      `${at('beyond')}: expected finite outputs of model, adapter and export, got Infinity`,
    )
  })

  it('refuses numbers beyond the range of float32 or float16', async () => {
    const { adapter } = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    await mkdir(at('steep'))
    const name = 'encoder.layer.0.attention.self.query'
    const steep = (shape: readonly number[]) => ({ shape, data: new Float32Array(64).fill(1e19) })
    await saveAdapter(at('steep'), {
      ...toLowRankAdapter(adapter),
      baseModelName: 'm',
      labelNames: ['bad', 'good', 'neither'],
      modules: new Map([[name, { A: steep([4, 16]), B: steep([16, 4]) }]]),
    })
    for (const format of ['merged', 'transformers.js'] as const) {
      // 2 · 4 · 1e38 is a number in float64
      await expect(exported('roberta', format, `steep-${format}`, { adapter: at('steep') })).rejects.toThrow(
        `model.safetensors: expected roberta.${name}.weight plus the adapter's update to be finite float32 numbers, got one that is not`,
      )
    }
    const tensors = tinyTensors()
    const positions = 'roberta.embeddings.position_embeddings.weight'
    const { shape, data } = tensors.get(positions)!
    for (const [value, fits] of [
      [65_519, true],
      [-65_520, false],
    ] as const) {
      // float16 has 65504; half-way to the next number it would have is infinity
      const large = new Map([...tensors, [positions, { shape, data: data.map((x, i) => (i === 0 ? value : x)) }]])
      const model = await writeTinyModel(at(`large${value}`), { 'model.safetensors': writeSafetensors(large) })
      const narrow = exported('roberta', 'merged', `narrow${value}`, { model, precision: 'float16' })
      if (fits) await narrow
      else
        await expect(narrow).rejects.toThrow(
          `model.safetensors: expected numbers in ${positions} that float16 can hold (precision float32 holds all), got a larger one`,
        )
    }
  })

  it('names the classes as the adapter does, else as the model does, else by number', async () => {
    const { adapter } = await loadTrainedModel({ model: at('roberta'), adapter: at('roberta-adapter') })
    await mkdir(at('nameless'))
    const { labelNames: _, ...rest } = toLowRankAdapter(adapter)
    await saveAdapter(at('nameless'), { ...rest, baseModelName: 'm' })
    const model = await writeTinyModel(at('naming'), {
      'config.json': JSON.stringify({ ...tinyConfig, id2label: { 0: 'a', 1: 'b', 2: 'c' } }),
    })
    const names = async (name: string, more: { readonly model?: string; readonly adapter?: string }): Promise<unknown> => {
      await exported('roberta', 'merged', name, more)
      return (await json(at(name, 'config.json')))['id2label']
    }
    expect(await names('by-adapter', { model })).toEqual({ 0: 'bad', 1: 'good', 2: 'neither' })
    expect(await names('by-model', { model, adapter: at('nameless') })).toEqual({ 0: 'a', 1: 'b', 2: 'c' })
    expect(await names('by-number', { adapter: at('nameless') })).toEqual({ 0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2' })
  })

  it('writes the problem type of a regression to config.json in every format', async () => {
    await writeAdapter(at('value-adapter'), at('bert'), ['LABEL_0'])
    for (const format of ['merged', 'transformers.js'] as const) {
      const { comparison } = await exported('bert', format, `value-${format}`, { adapter: at('value-adapter') })
      expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * comparison.largestLogit)
      expect(await json(at(`value-${format}`, 'config.json'))).toMatchObject({ problem_type: 'regression', id2label: { 0: 'LABEL_0' } })
    }
  })
})

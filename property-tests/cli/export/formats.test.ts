/** Exports in every format give the predictions of model and adapter. */
import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from '@huggingface/transformers'
import { describe, expect, it } from 'vitest'
import { loadLowRank } from '../../../accelerated/formats/peft/loadPeft.js'
import { toLowRankAdapter } from '../../../accelerated/formats/peft/lora.js'
import { adapterFiles, saveAdapter } from '../../../accelerated/formats/peft/peft.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { exportOnnx } from '../../../accelerated/formats/exportOnnx.js'
import { messageType } from '../../support/onnxSchema.js'
import { trialTexts } from '../../../finetuning/use/exportComparison.js'
import { resolveLabels } from '../../../finetuning/use/attachAdapter.js'
import { openTrainedAdapter, loadTrainedModel } from '../../../finetuning/use/openModel.js'
import { assertClose } from '../../support/assertClose.js'
import { ofTheFileOnly, writeFamily, type Family } from '../tinyAdapter.js'
import { at, exported, families, json, logits, texts, usePlace } from './folder.js'

usePlace()

const given = { device: 'cpu', precision: 'float64', threads: 1, batchSize: 3 }

/** The pairs of an adapter's folder, as they are read back for a model of the family. */
const modulesIn = async (folder: string, family: Family) => {
  const { model, outputs } = await openModelFolder(at(family))
  return (await loadLowRank(at(folder), model, outputs)).modules
}

const softmax = (row: readonly number[]): readonly number[] => {
  const powers = row.map((x) => Math.exp(x - Math.max(...row)))
  return powers.map((power) => power / powers.reduce((a, b) => a + b, 0))
}

type Answer = { readonly label: string; readonly score: number }

describe.each(families)('an export of %s', (family) => {
  it('an export as peft has the same logits to the last bit, and no matrix of rank 0', async () => {
    const { comparison } = await exported(family, 'peft', `${family}-peft`)
    expect(comparison.largestLogitDifference).toBe(0)
    expect(comparison.largestLogit).toBeGreaterThan(0.1)
    expect(await logits(at(family), at(`${family}-peft`))).toEqual(await logits(at(family), at(`${family}-adapter`)))
    expect((await modulesIn(`${family}-peft`, family)).size).toBe(10) // of 12
    expect(await json(at(`${family}-peft`, 'adapter_config.json'))).toEqual(await json(at(`${family}-adapter`, 'adapter_config.json')))
    expect(await json(at(`${family}-peft`, 'salora.json'))).toEqual(await json(at(`${family}-adapter`, 'salora.json')))
  })

  it.each(['merged', 'transformers.js'] as const)(
    'an export as %s truncates texts where training did, which the comparison covers',
    async (format) => {
      const long = { text: 'good film '.repeat(30) }
      const output = `${family}-${format}-short`
      const { comparison } = await exported(family, format, output, { maxLength: 12, texts: [{ text: 'short' }, long] })
      expect(comparison.texts).toBe(trialTexts.length + 2)
      expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * comparison.largestLogit)
      expect(await json(at(output, 'tokenizer_config.json'))).toHaveProperty('model_max_length', 12)
      const cut = async (maxLength: number) => {
        const opened = await openTrainedAdapter({ ...given, model: at(family), adapter: at(`${family}-adapter`), maxLength })
        return (await opened.predict([long]).finally(opened.release))[0] ?? []
      }
      expect(await cut(12)).not.toEqual(await cut(64))
    },
  )

  it('an export as peft-padded has one rank and no patterns; matrices of rank 0 are pairs of zeros', async () => {
    await exported(family, 'peft-padded', `${family}-padded`)
    expect(await json(at(`${family}-padded`, 'adapter_config.json'))).toEqual({
      ...(await json(at(`${family}-adapter`, 'adapter_config.json'))),
      r: 4,
      lora_alpha: 8,
      rank_pattern: {},
      alpha_pattern: {},
      target_modules: expect.any(Array) as unknown,
    })
    const modules = await modulesIn(`${family}-padded`, family)
    expect([...modules.values()].map(({ A, B }) => [A.shape[0], B.shape[1]])).toEqual(Array.from({ length: 11 }, () => [4, 4]))
    const pruned = modules.get('encoder.layer.0.intermediate.dense') // i = 4: rank 0, targeted
    expect([...(pruned?.A.data ?? [1]), ...(pruned?.B.data ?? [1])].every((x) => x === 0)).toBe(true)
    expect(modules.has('encoder.layer.1.attention.output.dense')).toBe(false) // i = 9: rank 0, not targeted
    assertClose(await logits(at(family), at(`${family}-padded`)), await logits(at(family), at(`${family}-adapter`)), { relative: 1e-12 })
  })

  it('an export as merged is a classifier in Hugging Face layout, without an adapter', async () => {
    const { comparison } = await exported(family, 'merged', `${family}-merged`)
    const [bound, { model, outputs }] = [1e-5, await openModelFolder(at(`${family}-merged`))]
    expect(comparison.largestLogitDifference).toBeLessThan(bound * comparison.largestLogit)
    assertClose(await logits(at(`${family}-merged`), null), await logits(at(family), at(`${family}-adapter`)), { relative: bound })
    expect(await json(at(`${family}-merged`, 'config.json'))).toMatchObject({
      architectures: [family === 'roberta' ? 'RobertaForSequenceClassification' : 'BertForSequenceClassification'],
      problem_type: 'single_label_classification',
      id2label: { 0: 'bad', 1: 'good', 2: 'neither' },
      label2id: { bad: 0, good: 1, neither: 2 },
      torch_dtype: 'float32',
    })
    const { torch_dtype: _, ...others } = ofTheFileOnly
    for (const key of Object.keys(others)) expect(await json(at(`${family}-merged`, 'config.json'))).not.toHaveProperty([key])
    const { tensors, metadata } = await readSafetensors(at(`${family}-merged`, 'model.safetensors'))
    expect(metadata).toEqual({ format: 'pt' })
    expect([...tensors.keys()].filter((name) => !name.startsWith(`${family}.`)).sort()).toEqual(
      [...model.sequenceHead(outputs.labels).tensors.keys()].filter((name) => name.startsWith('classifier.')).sort(),
    )
  })

  it('an export as merged has the tokenizer files of the base model, and what other tools need to pad and truncate', async () => {
    await exported(family, 'merged', `${family}-tokenizer`)
    expect(await readFile(at(`${family}-tokenizer`, 'tokenizer.json'))).toEqual(await readFile(at(family, 'tokenizer.json')))
    expect(await json(at(`${family}-tokenizer`, 'tokenizer_config.json'))).toEqual(
      family === 'bert'
        ? { tokenizer_class: 'BertTokenizer', pad_token: '[PAD]', model_max_length: 64 }
        : {
            ...(await json(at(family, 'tokenizer_config.json'))),
            tokenizer_class: 'RobertaTokenizer',
            pad_token: '<pad>',
            model_max_length: 64,
          },
    )
    const settings = { tokenizer_class: 'Own', pad_token: '[UNK]', model_max_length: 9 }
    await writeFamily(at(`${family}-own`), family)
    await writeFile(at(`${family}-own`, 'tokenizer_config.json'), JSON.stringify(settings))
    await writeFile(at(`${family}-own`, 'vocab.txt'), 'for older tools')
    const { added_tokens: _, ...tokenizer } = await json(at(family, 'tokenizer.json'))
    await writeFile(at(`${family}-own`, 'tokenizer.json'), JSON.stringify(tokenizer))
    await exported(family, 'merged', `${family}-owned`, { model: at(`${family}-own`) })
    expect(await json(at(`${family}-owned`, 'tokenizer_config.json'))).toEqual({ ...settings, model_max_length: 64 })
    expect(await readFile(at(`${family}-owned`, 'vocab.txt'), 'utf8')).toBe('for older tools')
    await writeFile(at(`${family}-own`, 'tokenizer_config.json'), '{}')
    await exported(family, 'merged', `${family}-tabled`, { model: at(`${family}-own`) })
    expect((await json(at(`${family}-tabled`, 'tokenizer_config.json')))['pad_token']).toBe(family === 'bert' ? '[PAD]' : '<pad>') // of the table alone
  })

  it.each([
    [2, 4],
    [6, 6],
  ])(
    'an export computes the same function in each layout with different ranks and scales, rank 4 beside a default of %d',
    async (rank, padded) => {
      const { base, adapter } = await loadTrainedModel({ model: at(family), adapter: at(`${family}-adapter`) })
      const uneven = `${family}-uneven-${rank}`
      await mkdir(at(uneven))
      await saveAdapter(at(uneven), {
        ...toLowRankAdapter(adapter),
        rank,
        alpha: 2 * rank,
        baseModelName: 'm',
        labelNames: ['bad', 'good', 'neither'],
      })
      const file = at(uneven, adapterFiles.config)
      const { alpha_pattern: alphas, ...settings } = await json(file)
      await writeFile(
        file,
        JSON.stringify({
          ...settings,
          alpha_pattern: { ...(alphas as object), [`${base.model.type}.encoder.layer.0.attention.self.query`]: 3 },
        }),
      )
      const expected = await logits(at(family), at(uneven))
      expect(expected).not.toEqual(await logits(at(family), at(`${family}-adapter`)))
      for (const format of ['peft', 'peft-padded', 'merged'] as const) {
        await exported(family, format, `${uneven}-${format}`, { adapter: at(uneven) })
        assertClose(
          format === 'merged' ? await logits(at(`${uneven}-merged`), null) : await logits(at(family), at(`${uneven}-${format}`)),
          expected,
          { relative: 1e-5 },
        )
      }
      expect(await json(at(`${uneven}-peft-padded`, 'adapter_config.json'))).toMatchObject({ r: padded, lora_alpha: 2 * padded })
    },
  )

  it('an export as transformers.js stores weights in the model file up to the bound, to the byte', async () => {
    const trained = await loadTrainedModel({ model: at(family), adapter: at(`${family}-adapter`) })
    const write = async (largest?: number): Promise<readonly string[]> => {
      const folder = await mkdtemp(at(`${family}-bound-`))
      await exportOnnx(folder, trained, resolveLabels(trained), largest === undefined ? {} : { largest })
      return [folder, ...(await readdir(join(folder, 'onnx')))]
    }
    const [folder = '', ...files] = await write()
    const { size } = await stat(join(folder, 'onnx', 'model.onnx'))
    expect(files).toEqual(['model.onnx'])
    const { graph } = messageType('ModelProto').decode(await readFile(join(folder, 'onnx', 'model.onnx'))) as unknown as {
      readonly graph: { readonly node: readonly { readonly domain?: string }[] }
    }
    expect(graph.node.filter(({ domain }) => (domain ?? '') !== '')).toEqual([]) // no operator is a provider's own
    expect((await write(size)).slice(1)).toEqual(['model.onnx'])
    expect((await write(size - 1)).slice(1)).toEqual(['model.onnx', 'model.onnx_data'])
  })

  it.each(['in the model', 'beside it'])(
    "an export as transformers.js gives salora's predictions through its pipeline, with weights %s",
    async (where) => {
      const folder = at(`${family}-onnx-${where.length}`)
      const trained = await loadTrainedModel({ model: at(family), adapter: at(`${family}-adapter`) })
      if (where === 'in the model') await exported(family, 'transformers.js', `${family}-onnx-${where.length}`)
      else {
        await mkdir(folder)
        await exportOnnx(folder, trained, resolveLabels(trained), { largest: 10_000 })
      }
      expect(await readdir(join(folder, 'onnx'))).toEqual(where === 'in the model' ? ['model.onnx'] : ['model.onnx', 'model.onnx_data'])
      // Node finds the data file by itself; a browser fetches it because config.json says so.
      expect((await json(join(folder, 'config.json')))['transformers.js_config']).toEqual(
        where === 'in the model' ? undefined : { use_external_data_format: true },
      )
      const rows = await logits(at(family), at(`${family}-adapter`), 'float32')
      const expected = texts.map((_, i) => softmax(rows.slice(3 * i, 3 * i + 3)))
      const classify = await pipeline('text-classification', folder, { dtype: 'fp32', device: 'cpu', local_files_only: true })
      try {
        const batch = (await classify(
          texts.map(({ text }) => text),
          { top_k: 3 },
        )) as unknown as readonly (readonly Answer[])[]
        const alone = await Promise.all(texts.map(async ({ text }) => (await classify(text, { top_k: 3 })) as unknown as readonly Answer[]))
        for (const answers of [batch, alone]) {
          answers.forEach((answer, i) => {
            const scores = ['bad', 'good', 'neither'].map((name) => answer.find(({ label }) => label === name)?.score ?? NaN)
            assertClose(scores, expected[i] ?? [], { relative: 1e-5 })
          })
        }
      } finally {
        await classify.dispose()
      }
    },
  )
})

/** Methods from flags to every export: LoRA's variants, bottleneck adapters and virtual tokens train, resume, load, export, and are refused. */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import { encoderConfig } from '../../accelerated/models/bert/config.js'
import { errorReport } from '../../cli/terminal/reportError.js'
import { exportAdapter } from '../../finetuning/use/exportAdapter.js'
import { exportFormats, type ExportFormat } from '../../finetuning/use/exportFormats.js'
import { rankPatternOfRun } from '../../finetuning/use/rankPattern.js'
import { loadRunEvaluation, scoreAdapter } from '../../finetuning/use/scoreAdapter.js'
import { openTrainedAdapter } from '../../finetuning/use/openModel.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { folderOf } from '../golden/golden.js'
import { assertClose } from '../support/assertClose.js'
import { bytesIn, runJob } from './jobRun.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('methods')
const at = (...path: readonly string[]): string => join(cwd, ...path)
beforeAll(() => {
  env.allowRemoteModels = false
})

const machine = { device: 'cpu', precision: 'float32', threads: 1, maxLength: 16, batchSize: 8 } as const

type Case = {
  /** the folder of the model; that of the case (default: the tiny model) */
  readonly model?: string
  readonly settings: object
  readonly stopAfter: readonly number[]
  readonly trained: Readonly<Record<string, number>>
  /** formats that change nothing, and formats that compute the same function */
  readonly exact: readonly ExportFormat[]
  readonly near: readonly ExportFormat[]
  readonly refused: readonly ExportFormat[]
  /** what --format says of a refused one: an adapter … */
  readonly of: string
}

// of each tiny layer: four matrices of 16 × 16, one of 32 × 16 and one of 16 × 32, at rank 2, and a magnitude for each row
const variants: Case = {
  settings: { method: 'lora', useRslora: true, useDora: true, rank: 2, loraAlpha: 4, loraDropout: 0.25, targetModules: ['all-linear'] },
  stopAfter: [3],
  trained: { adapter: 2 * (2 * (4 * 32 + 2 * 48) + 5 * 16 + 32) },
  exact: ['peft'],
  near: ['merged', 'transformers.js'],
  refused: ['peft-padded', 'peft-file'],
  of: 'with magnitudes (DoRA)',
}
/** Starts that follow from the model's matrices or inputs: files have plain LoRA, of twice the rank where the base lost the start. */
const started = (initLoraWeights: string): Case => ({
  settings: { method: 'lora', initLoraWeights, useRslora: true, rank: 2, loraAlpha: 3, loraDropout: 0.25, learningRate: 0.01 },
  stopAfter: [3],
  trained: { adapter: 2 * 2 * (4 * 32 + 2 * 48) },
  exact: ['peft'],
  near: ['peft-padded', 'merged', 'transformers.js'],
  refused: [],
  of: '',
})
/** Steps 1 to 4 cut nothing, 5 to 10 all but the last. */
const adalora: Case = {
  settings: {
    ...{ method: 'adalora', initR: 3, targetR: 1, loraAlpha: 6, loraDropout: 0.1, tinitRatio: 0.2, tfinalRatio: 0.375 },
    ...{ maxSteps: 16, gradientAccumulationSteps: 2, learningRate: 0.02, neftuneAlpha: 5 },
  },
  stopAfter: [7, 11],
  trained: { adapter: 3 * 2 * (4 * 33 + 2 * 49) },
  exact: ['peft'],
  near: ['peft-padded', 'peft-file', 'merged', 'transformers.js'],
  refused: [],
  of: '',
}
const bottleneck = (method: string, adapters: number): Case => ({
  settings: { method, reductionFactor: 4, learningRate: 0.02, dropout: 0, maxSteps: 40, batchSize: 8, evalSteps: 20 },
  stopAfter: [23],
  trained: { adapter: adapters * (2 * 16 * 4 + 4 + 16), head: 16 * 16 + 16 + 2 * 16 + 2 },
  exact: ['adapters'],
  near: ['transformers.js'],
  refused: ['merged', 'peft', 'peft-padded', 'peft-file'],
  of: `of method ${method}`,
})
const virtual = (method: string, family: 'roberta' | 'bert', width: number): Case => ({
  model: folderOf(family),
  settings: { method, numVirtualTokens: 5, maxLength: 12, gradientAccumulationSteps: 2, dropout: 0.2, learningRate: 0.01, maxSteps: 4 },
  stopAfter: [3],
  trained: { adapter: 5 * width, head: 32 * 32 + 32 + 2 * 32 + 2 },
  exact: ['peft'],
  near: ['transformers.js'],
  refused: ['merged', 'peft-padded', 'peft-file'],
  of: `of method ${method}`,
})
/** of each tiny layer: keys, values and the inputs of both blocks' last matrices, of width 16, 16, 16 and 32 */
const ia3: Case = {
  settings: { method: 'ia3', learningRate: 0.02, dropout: 0.1 },
  stopAfter: [3],
  trained: { adapter: 2 * (3 * 16 + 32) },
  exact: ['peft'],
  near: ['merged', 'transformers.js'],
  refused: ['peft-padded', 'peft-file'],
  of: 'of method ia3',
}
const cases: Readonly<Record<string, Case>> = {
  variants,
  pissa: started('pissa'),
  eva: { ...started('eva'), trained: {} }, // by the ranks that it finds
  adalora,
  ia3,
  houlsby: bottleneck('houlsby', 4),
  pfeiffer: bottleneck('pfeiffer', 2),
  'prefix-roberta': virtual('prefix', 'roberta', 2 * 2 * 32),
  'prefix-bert': virtual('prefix', 'bert', 2 * 2 * 32),
  'prompt-roberta': virtual('prompt', 'roberta', 32),
  'prompt-bert': virtual('prompt', 'bert', 32),
}

/** What the command line says of it, with the exit code. */
const mistake = async (work: Promise<unknown>): Promise<readonly [string, number]> => {
  const { line, exitCode } = errorReport(
    await work.then(
      () => new Error('no mistake'),
      (thrown: unknown) => thrown,
    ),
  )
  return [line.replaceAll(cwd, '@'), exitCode]
}

describe.each(Object.entries(cases))(
  'a run of %s',
  (name, { model = at('tiny'), settings, stopAfter, trained, exact, near, refused, of }) => {
    let result: RunResult
    const flags = (output: string) => ({ config: at(`${name}.json`), model, task: at('toy.tsv'), output: at(output) })
    beforeAll(async () => {
      const usual = { maxSteps: 6, saveSteps: 3, evalSteps: 3, batchSize: 4, maxLength: 16, device: 'cpu', threads: 1 }
      await writeFile(at(`${name}.json`), JSON.stringify({ ...usual, ...settings }))
      result = await runJob(flags(name))
    })
    const exported = (format: ExportFormat) =>
      exportAdapter({
        ...{ model, adapter: at(name, 'adapter'), format, output: at(`${name}-${format}`) },
        ...{ precision: 'float32', maxLength: null, targeted: null },
      })

    it('has its parameters, and is scored as it was when it is read again', async () => {
      expect(result.trainableParameters).toMatchObject(trained)
      const { ranks = {} } = result as { readonly ranks?: Readonly<Record<string, number>> }
      const counts = Object.entries(ranks).map(([matrix, r]) => r * (/(intermediate|\d\.output)\.dense/.test(matrix) ? 16 + 32 : 16 + 16))
      if (name === 'eva') expect(result.trainableParameters['adapter']).toBe(counts.reduce((a, b) => a + b, 0))
      const opened = await openTrainedAdapter({ model, adapter: at(name, 'adapter'), ...machine, maxLength: name.includes('-') ? 12 : 16 })
      const scored = await scoreAdapter(opened, await loadRunEvaluation({ task: at('toy.tsv') })).finally(opened.release)
      const { kept, best, last } = result
      expect([opened.labelNames, scored.scores['accuracy']]).toEqual([
        ['bad', 'good'],
        (kept?.which === 'best' ? best : last)?.scores['accuracy'],
      ])
    })

    it.each(stopAfter)('resumes after step %i to the same bits', async (step) => {
      const cut = `${name}-cut-${step}`
      expect(await runJob(flags(cut), step)).toMatchObject({ interrupted: true, stepsDone: step })
      await runJob({ output: at(cut), resume: true })
      expect(await bytesIn(at(cut), ['adapter'])).toEqual(await bytesIn(at(name), ['adapter']))
    })

    it.each([...exact, ...near])('computes the same function when exported as %s', async (format) => {
      const { comparison } = await exported(format)
      expect(comparison.largestLogit).toBeGreaterThan(0)
      if (exact.includes(format)) expect(comparison.largestLogitDifference).toBe(0)
      else expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * Math.max(1, comparison.largestLogit))
    })

    it.each(refused)('cannot be exported as %s, and nothing is written', async (format) => {
      const allowed = exportFormats.filter((one) => exact.includes(one) || near.includes(one))
      expect(await mistake(exported(format))).toEqual([
        `--format: expected one of ${allowed.join(', ')} for an adapter ${of}, got ${format}`,
        2,
      ])
      expect(await readdir(cwd)).not.toContain(`${name}-${format}`)
    })
  },
)

describe('the variants of LoRA', () => {
  it('are read from flags and from --config', async () => {
    const { settings } = JSON.parse(await readFile(at('variants', 'config.json'), 'utf8')) as { readonly settings: object }
    expect(settings).toMatchObject({ useRslora: true, useDora: true, loraDropout: 0.25, targetModules: ['all-linear'] })
    const given = { model: at('tiny'), task: at('toy.tsv'), output: at('wrong'), method: 'salora', useDora: true }
    await expect(runJob(given)).rejects.toThrow('--use-dora: expected a setting of method salora, got true (it belongs to lora')
  })

  it("begin with the lengths of W's rows as magnitudes, and end near them", async () => {
    const base = await openModelFolder(at('tiny'))
    const { tensors } = await readAdapter(at('variants', 'adapter'), base)
    const name = 'encoder.layer.1.output.dense'
    const W = await readTensor(base.tensors.get(`${name}.weight`)!)
    const magnitude = tensors.get(`${name}.magnitude`)?.data ?? new Float32Array(0)
    expect(magnitude).toHaveLength(16)
    magnitude.forEach((m, row) => expect(Math.abs(m - Math.hypot(...W.subarray(32 * row, 32 * (row + 1))))).toBeLessThan(6 * 4e-4 + 1e-6))
  })

  it('have a rank pattern whose alpha gives plain LoRA the same scale', async () =>
    expect(await rankPatternOfRun(at('variants'))).toMatchObject({ r: 2, lora_alpha: 4 * Math.sqrt(2), rank_pattern: {} }))
})

describe.each(['houlsby', 'pfeiffer'])('an adapter of %s', (method) => {
  it('has learned, in a folder of the adapters library', async () => {
    const { best } = JSON.parse(await readFile(at(method, 'result.json'), 'utf8')) as RunResult
    expect(best?.scores['accuracy']).toBeGreaterThan(0.9)
    const files = 'README.md adapter.safetensors adapter_config.json head_config.json model_head.safetensors salora.json'
    expect((await readdir(at(method, 'adapter'))).sort()).toEqual(files.split(' '))
    const bytes = await readFile(at(`${method}-transformers.js`, 'onnx', 'model.onnx'), 'latin1')
    expect(bytes.split('.adapter.down.weight').length).toBeGreaterThan(2) // within the graph
  })
})

describe.each(['prefix-roberta', 'prefix-bert', 'prompt-roberta', 'prompt-bert'])('an adapter of %s', (run) => {
  const [method = '', family = ''] = run.split('-')
  const model = folderOf(family as 'roberta')
  /** The golden tokenizers' words. */
  const texts = ['w4 w9 w23', 'w77', 'w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16'].map((text) => ({ text }))

  it('answers in the pipeline of transformers.js as here, and cuts a text at the last position', async () => {
    const opened = await openTrainedAdapter({ model, adapter: at(run, 'adapter'), ...machine, maxLength: null })
    const logits = await opened.predict(texts).finally(opened.release)
    const classify = await pipeline('text-classification', at(`${run}-transformers.js`), { dtype: 'fp32', device: 'cpu' })
    const ask = async (input: readonly string[]) => (await classify([...input])) as readonly { label: string; score: number }[]
    try {
      const answers = await ask(texts.map(({ text }) => text)) // a padded batch
      logits.forEach(([bad = NaN, good = NaN], i) => {
        expect(answers[i]?.label).toBe(bad > good ? 'bad' : 'good')
        assertClose([answers[i]?.score ?? NaN], [1 / (1 + Math.exp(-Math.abs(bad - good)))], { relative: 1e-5 })
      })
      expect(await ask(['w31 '.repeat(60)])).toHaveLength(1) // there is no position for the rest
    } finally {
      await classify.dispose()
    }
  })

  it('is refused by models of other sizes', async () => {
    const base = await openModelFolder(model)
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as object
    const first = family === 'roberta' ? 2 : 0
    for (const [change, line] of [
      [{ hidden_size: 48 }, 'token_dim 48, as the model has it, got 32'],
      [{ num_hidden_layers: 3 }, 'num_layers 3, as the model has it, got 2'],
      [{ num_attention_heads: 8 }, 'num_attention_heads 8, as the model has it, got 4'],
      [{ max_position_embeddings: first + 7 }, 'num_virtual_tokens of at most 4, as the model has 7 positions, got 5'],
    ] as const) {
      const other = { ...base, model: encoderModel(encoderConfig({ ...config, ...change }, 'config.json')) }
      expect(await mistake(readAdapter(at(run, 'adapter'), other))).toEqual([`@/${run}/adapter/adapter_config.json: expected ${line}`, 1])
    }
  })

  it('is refused as one of another method', async () => {
    const base = await openModelFolder(model)
    const as = async (peftType: string) => {
      const folder = at(`${run}-as-${peftType}`)
      await cp(at(run, 'adapter'), folder, { recursive: true })
      const file = join(folder, 'adapter_config.json')
      await writeFile(file, (await readFile(file, 'utf8')).replace(/(PREFIX|PROMPT)_TUNING/, peftType))
      return mistake(readAdapter(folder, base))
    }
    const [other, width] = method === 'prefix' ? (['PROMPT_TUNING', 128] as const) : (['PREFIX_TUNING', 32] as const)
    expect(await as(other)).toEqual([
      `@/${run}-as-${other}/adapter_model.safetensors: expected tensor prompt_embeddings of shape [5, ${160 - width}], got [5, ${width}]`,
      1,
    ])
    expect(await as('LORA')).toEqual([expect.stringContaining('adapter_config.json: expected a plain LoRA configuration whose r is'), 1])
    expect(await as('P_TUNING')).toEqual([expect.stringContaining('adapter_config.json: expected an adapter of a supported method'), 1])
  })
})

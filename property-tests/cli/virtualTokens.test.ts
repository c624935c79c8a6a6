/** Prefix and prompt tuning from data to export: training, interrupting, loading, exporting, and one line per error. */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import { encoderConfig } from '../../accelerated/models/bert/config.js'
import { parseSettings } from '../../accelerated/training/settings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { errorReport } from '../../cli/terminal/reportError.js'
import { exportAdapter } from '../../finetuning/adapters/exportAdapter.js'
import type { ExportFormat } from '../../finetuning/adapters/exportFormats.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { RunResult } from '../../finetuning/runs/run.js'
import { openTrainedAdapter } from '../../finetuning/adapters/trainedAdapter.js'
import { folderOf } from '../golden/golden.js'
import { assertClose } from '../support/assertClose.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { toyFile } from './toyTask.js'

const { folder: root } = temporaryFolder('virtual')
beforeAll(async () => {
  env.allowRemoteModels = false
  await writeFile(join(root, 'toy.tsv'), toyFile(20))
})

const virtualTokens = 5
const steps = 4

const settingsOf = (method: string, change: SettingsInput = {}) =>
  parseSettings({
    ...{
      method,
      numVirtualTokens: virtualTokens,
      maxSteps: steps,
      maxLength: 12,
      batchSize: 4,
      gradientAccumulationSteps: 2,
      dropout: 0.2,
      learningRate: 0.01,
    },
    ...{ device: 'cpu', threads: 1, evalSteps: 2, ...change },
  })

/** A run that is stopped after step `until`. */
const train = async (
  model: string,
  name: string,
  settings = settingsOf('prefix'),
  { until = Infinity, resume = false } = {},
): Promise<RunResult> => {
  const stop = new AbortController()
  const run = finetuneJob({ model, task: { task: join(root, 'toy.tsv') }, output: join(root, name), resume, settings }, stop.signal)
  for (;;) {
    const next = await run.next()
    if (next.done === true) return next.value
    if (next.value.kind === 'step' && next.value.step >= until) stop.abort()
  }
}

/** What the command line says of it, with the exit code. */
const mistake = async (work: Promise<unknown>): Promise<readonly [string, number]> => {
  const { line, exitCode } = errorReport(
    await work.then(
      () => new Error('no mistake'),
      (thrown: unknown) => thrown,
    ),
  )
  return [line.replaceAll(root, '@'), exitCode]
}

const bytes = (...path: ReadonlyArray<string>): Promise<Buffer> => readFile(join(root, ...path))
const weights = ['adapter', 'adapter_model.safetensors'] as const
/** The golden tokenizers' own words. */
const texts = ['w4 w9 w23', 'w77', 'w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 w15 w16'].map((text) => ({ text }))
const long = 'w31 '.repeat(60)

describe.each([
  ['prefix', 'roberta', 2 * 2 * 32],
  ['prefix', 'bert', 2 * 2 * 32],
  ['prompt', 'roberta', 32],
  ['prompt', 'bert', 32],
] as const)('a run of %s on %s', (method, family, width) => {
  const [model, run] = [folderOf(family), `${method}-${family}`]
  let result: RunResult
  beforeAll(async () => {
    result = await train(model, run, settingsOf(method))
  })
  const exported = (format: ExportFormat) =>
    exportAdapter({
      ...{ model, adapter: join(root, run, 'adapter'), format, output: join(root, `${run}-${format}`) },
      ...{ precision: 'float32', maxLength: null, targeted: null },
    })

  it('trains its virtual tokens and the head', async () => {
    const head = 32 * 32 + 32 + 2 * 32 + 2
    expect(result).toMatchObject({ steps, stepsDone: steps, trainableParameters: { adapter: virtualTokens * width, head } })
  })

  it('resumes to the same bits, with dropout and gradient accumulation', async () => {
    const interrupted = await train(model, `${run}-resumed`, settingsOf(method), { until: 3 })
    expect(interrupted).toMatchObject({ interrupted: true, stepsDone: 3 })
    await train(model, `${run}-resumed`, settingsOf(method), { resume: true })
    expect(await bytes(`${run}-resumed`, ...weights)).toEqual(await bytes(run, ...weights))
  })

  it('is exported to PEFT unchanged, and to transformers.js within the graph, which truncates texts at the last position', async () => {
    expect((await exported('peft')).comparison.largestLogitDifference).toBe(0)
    const { comparison } = await exported('transformers.js')
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * comparison.largestLogit)
    const machine = { device: 'cpu', precision: 'float32', threads: 1, maxLength: null, batchSize: 3 }
    const opened = await openTrainedAdapter({ model, adapter: join(root, run, 'adapter'), ...machine })
    const logits = await opened.predict(texts).finally(opened.release)
    const classify = await pipeline('text-classification', join(root, `${run}-transformers.js`), { dtype: 'fp32', device: 'cpu' })
    const ask = async (input: ReadonlyArray<string>) => (await classify([...input])) as ReadonlyArray<{ label: string; score: number }>
    try {
      const answers = await ask(texts.map(({ text }) => text)) // a padded batch
      logits.forEach(([bad = NaN, good = NaN], i) => {
        expect(answers[i]?.label).toBe(bad > good ? 'bad' : 'good')
        assertClose([answers[i]?.score ?? NaN], [1 / (1 + Math.exp(-Math.abs(bad - good)))], { relative: 1e-5 })
      })
      expect(await ask([long])).toHaveLength(1) // cut, since there is no position for the rest
    } finally {
      await classify.dispose()
    }
  })

  it('refuses formats that cannot hold it, and writes nothing', async () => {
    for (const format of ['merged', 'peft-padded'] as const) {
      expect(await mistake(exported(format))).toEqual([
        `--format: expected one of peft, transformers.js for an adapter of method ${method}, got ${format}`,
        2,
      ])
      expect(await readdir(root)).not.toContain(`${run}-${format}`)
    }
  })

  it('gives an adapter that other models refuse', async () => {
    const base = await openModelFolder(model)
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as object
    const on = (change: object) => {
      const other = { ...base, model: encoderModel(encoderConfig({ ...config, ...change }, 'config.json')) }
      return mistake(readAdapter(join(root, run, 'adapter'), other))
    }
    const where = `@/${run}/adapter/adapter_config.json: expected`
    expect(await on({ hidden_size: 48 })).toEqual([`${where} token_dim 48, as the model has it, got 32`, 1])
    expect(await on({ num_hidden_layers: 3 })).toEqual([`${where} num_layers 3, as the model has it, got 2`, 1])
    expect(await on({ num_attention_heads: 8 })).toEqual([`${where} num_attention_heads 8, as the model has it, got 4`, 1])
    const first = family === 'roberta' ? 2 : 0
    expect(await on({ max_position_embeddings: first + 7 })).toEqual([
      `${where} num_virtual_tokens of at most 4, as the model has 7 positions, got 5`,
      1,
    ])
  })

  it('gives an adapter that other methods refuse', async () => {
    const base = await openModelFolder(model)
    const as = async (peftType: string) => {
      const folder = join(root, `${run}-as-${peftType}`)
      await cp(join(root, run, 'adapter'), folder, { recursive: true })
      const file = join(folder, 'adapter_config.json')
      await writeFile(file, (await readFile(file, 'utf8')).replace(/(PREFIX|PROMPT)_TUNING/, peftType))
      return mistake(readAdapter(folder, base))
    }
    const other = method === 'prefix' ? 'PROMPT_TUNING' : 'PREFIX_TUNING'
    expect(await as(other)).toEqual([
      `@/${run}-as-${other}/adapter_model.safetensors: expected tensor prompt_embeddings of shape [5, ${160 - width}], got [5, ${width}]`,
      1,
    ])
    const [line, code] = await as('LORA')
    expect([line, code]).toEqual([expect.stringContaining('adapter_config.json: expected a plain LoRA configuration whose r is'), 1])
    expect(await as('P_TUNING')).toEqual([expect.stringContaining('adapter_config.json: expected an adapter of a supported method'), 1])
  })
})

/** Model families besides RoBERTa and BERT on the command line: training, resuming, merging, exporting, and one line per unsupported method. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { beforeAll, describe, expect, it } from 'vitest'
import { openTrainedAdapter } from '../../finetuning/use/openModel.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'

env.allowRemoteModels = false
env.allowLocalModels = true

const { folder: root } = temporaryFolder('decoder')
beforeAll(async () => {
  // low words are one class, high ones the other
  const row = (i: number): string =>
    Array.from({ length: 1 + (i % 7) }, (_, j) => `w${(i % 2 === 0 ? 3 : 27) + ((i * 7 + j * 5) % 20)}`).join(' ')
  const rows = Array.from({ length: 160 }, (_, i) => `${row(i)} w${3 + ((i * 11) % 46)}\t${i % 2 === 0 ? 'low' : 'high'}`)
  await writeFile(join(root, 'task.tsv'), ['text\tlabel', ...rows, ''].join('\n'))
})

const encoders = ['distilbert', 'electra', 'mpnet', 'modernbert', 'xlm-roberta', 'deberta-v2']
/** The classes of transformers. */
const classNames: Readonly<Record<string, string>> = {
  ...{ llama: 'Llama', mistral: 'Mistral', qwen2: 'Qwen2', granite: 'Granite', gpt2: 'GPT2', phi3: 'Phi3', opt: 'OPT' },
  ...{ distilbert: 'DistilBert', electra: 'Electra', mpnet: 'MPNet', modernbert: 'ModernBert' },
  ...{ 'xlm-roberta': 'XLMRoberta', 'deberta-v2': 'DebertaV2' },
}
/** The columns of a layer's matrices in the map of ranks. */
const columns: Readonly<Record<string, readonly string[]>> = {
  opt: ['q_proj', 'k_proj', 'v_proj', 'out_proj', 'fc1', 'fc2'],
  phi3: ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj'],
  gpt2: ['c_attn', 'attn.c_proj', 'c_fc', 'mlp.c_proj'],
  distilbert: ['q_lin', 'k_lin', 'v_lin', 'out_lin', 'lin1', 'lin2'],
  electra: ['query', 'key', 'value', 'attention output', 'intermediate', 'output'],
  mpnet: ['q', 'k', 'v', 'o', 'intermediate', 'output'],
  modernbert: ['Wqkv', 'attn.Wo', 'Wi', 'mlp.Wo'],
  'xlm-roberta': ['query', 'key', 'value', 'attention output', 'intermediate', 'output'],
  'deberta-v2': ['query_proj', 'key_proj', 'value_proj', 'attention output', 'intermediate', 'output'],
}
const decoderColumns = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
const model = (family: string): string => join(fixtures, family)
const trainBy = (run: typeof saloraIn, family: string, output: string, ...more: readonly string[]) =>
  run(
    [
      ...['train', '--model', model(family), '--task', 'task.tsv', '--output', output, '--max-length', '32'],
      ...'--batch-size 8 --learning-rate 1e-2 --device cpu --quiet'.split(' '),
      ...more,
    ],
    { cwd: root },
  )
const train = trainBy.bind(null, saloraIn)
/** One of the family of tests is a process, as a user's is. */
const asProcess: typeof saloraIn = async (...given) => {
  const { code, stdout, stderr } = await salora(...given)
  return { code: code ?? undefined, stdout, stderr }
}
const json = async (file: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(root, file), 'utf8')) as Record<string, unknown>

describe.each(['llama', 'mistral', 'qwen2', 'granite', 'gpt2', 'phi3', 'opt', ...encoders])('%s', (family) => {
  it('is trained by SaLoRA within its budget, and beats the majority baseline', async () => {
    const { code, stdout } = await trainBy(family === 'llama' ? asProcess : saloraIn, family, family, '--method', 'salora', '--epochs', '8')
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`\n +layer +${(columns[family] ?? decoderColumns).join(' +')}\n`))
    const { last, retainedDensity } = (await json(`${family}/result.json`)) as {
      last: { scores: { accuracy: number } }
      retainedDensity: number
    }
    expect(last.scores.accuracy).toBeGreaterThan(0.8)
    expect(retainedDensity).toBeLessThanOrEqual(0.5)
    expect(retainedDensity).toBeGreaterThan(0.45)
  })

  it('is merged into a model with the predictions of the adapter', async () => {
    const { code, stdout } = await saloraIn(
      ['export', '--run', family, '--format', 'merged', '--output', `${family}-merged`, '--json', '--quiet'],
      { cwd: root },
    )
    expect(code).toBe(0)
    const { comparison } = JSON.parse(stdout) as { comparison: { largestLogitDifference: number; largestLogit: number } }
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * comparison.largestLogit)
    const config = await json(`${family}-merged/config.json`)
    expect(config['architectures']).toEqual([`${classNames[family]}ForSequenceClassification`])
    expect(config['pad_token_id']).toBe(family === 'mpnet' || family === 'xlm-roberta' ? 1 : 0)
    const texts = [{ text: 'w3 w4' }, { text: 'w40 w41 w42 w30' }]
    const [merged, adapted] = [
      await openTrainedAdapter({ model: join(root, `${family}-merged`), adapter: null, device: 'cpu' }),
      await openTrainedAdapter({ model: model(family), adapter: join(root, family, 'adapter'), device: 'cpu' }),
    ]
    const [expected, actual] = [(await adapted.predict(texts)).flat(), (await merged.predict(texts)).flat()]
    await Promise.all([merged.release(), adapted.release()])
    expected.forEach((x, i) => expect(actual[i]).toBeCloseTo(x, 4))
  })
})

describe.each(encoders)('%s', (family) => {
  it('is exported for transformers.js, whose pipeline gives the predictions of the adapter', async () => {
    const output = `${family}-onnx`
    const { code, stdout } = await saloraIn(
      ['export', '--run', family, '--format', 'transformers.js', '--output', output, '--json', '--quiet'],
      { cwd: root },
    )
    expect(code).toBe(0)
    const { comparison } = JSON.parse(stdout) as { comparison: { largestLogitDifference: number; largestLogit: number } }
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * comparison.largestLogit)
    const classify = await pipeline('text-classification', join(root, output), { dtype: 'fp32', local_files_only: true })
    const [answer] = (await classify('w3 w4 w5')) as [{ readonly label: string; readonly score: number }]
    const adapted = await openTrainedAdapter({ model: model(family), adapter: join(root, family, 'adapter'), device: 'cpu' })
    const [logits = []] = await adapted.predict([{ text: 'w3 w4 w5' }])
    await adapted.release()
    const best = logits.indexOf(Math.max(...logits))
    expect(answer.label).toBe(adapted.labelNames?.[best])
    expect(answer.score).toBeCloseTo(Math.exp(logits[best] ?? NaN) / logits.reduce((sum, x) => sum + Math.exp(x), 0), 4)
    await classify.dispose()
  })
})

describe.each(['qwen2', 'gpt2', 'xlm-roberta', 'deberta-v2'])('%s', (family) => {
  it('resumes to the same bits with dropout', async () => {
    const [run, flags] = [`${family}-whole`, ['--method', 'lora', '--lora-dropout', '0.1', '--dropout', '0.1', '--max-steps', '12']]
    const uninterrupted = await train(family, run, ...flags, '--save-steps', '5')
    expect(uninterrupted.code).toBe(0)
    await rm(join(root, run, 'checkpoints', 'step-000000012.safetensors'))
    await rm(join(root, run, 'result.json'))
    const before = await readFile(join(root, run, 'adapter', 'adapter_model.safetensors'))
    await rm(join(root, run, 'adapter', 'adapter_model.safetensors'))
    expect((await train(family, run, ...flags, '--save-steps', '5', '--resume')).code).toBe(0)
    expect(await readFile(join(root, run, 'adapter', 'adapter_model.safetensors'))).toEqual(before)
  })
})

describe.each(['xlm-roberta', 'deberta-v2'])('%s', (family) => {
  it('has the accuracy of its training in salora evaluate, and the right classes in salora predict', async () => {
    const { last } = (await json(`${family}/result.json`)) as { last: { scores: { accuracy: number } } }
    const evaluated = await saloraIn(['evaluate', '--run', family, '--json', '--quiet'], { cwd: root })
    expect((JSON.parse(evaluated.stdout) as { scores: { accuracy: number } }).scores.accuracy).toBe(last.scores.accuracy)
    const answer = await saloraIn(['predict', '--run', family, '--quiet'], { cwd: root, input: 'w3 w5\nw40 w41\n' })
    expect(jsonLines<{ readonly label: string }>(answer.stdout).map(({ label }) => label)).toEqual(['low', 'high'])
  })
})

describe('an encoder', () => {
  it.each([
    ['distilbert', 'houlsby --set reduction-factor=8'],
    ['electra', 'prefix --set num-virtual-tokens=4'],
    ['electra', 'prompt --set num-virtual-tokens=4'],
  ])('%s is trained by %s, and salora evaluate gives the accuracy of the training', async (family, how) => {
    const run = `${family}-${how.replaceAll(' ', '')}`
    expect((await train(family, run, '--method', ...how.split(' '), '--epochs', '2', '--max-length', '28')).code).toBe(0)
    const { last } = (await json(`${run}/result.json`)) as { last: { scores: { accuracy: number; loss: number } } }
    const evaluated = await saloraIn(['evaluate', '--run', run, '--json', '--quiet'], { cwd: root })
    expect((JSON.parse(evaluated.stdout) as { scores: { accuracy: number } }).scores.accuracy).toBe(last.scores.accuracy)
  })
})

const others = ['adalora', 'full', 'lora --use-dora', 'lora --precision int8']
it.each([
  ...['xlm-roberta', 'deberta-v2'].flatMap((family) => [...others, 'lora --precision float64'].map((how) => [family, how])),
  ...[...others, 'prefix --set num-virtual-tokens=4', 'prompt --set num-virtual-tokens=4'].map((how) => ['llama', how]),
])('%s is trained by %s', async (family = '', how = '') => {
  expect((await train(family, `${family}-${how.replaceAll(' ', '')}`, '--method', ...how.split(' '), '--epochs', '2')).code).toBe(0)
})

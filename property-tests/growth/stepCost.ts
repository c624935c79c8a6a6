/**
 * What a LoRA step costs by texts, length, layers, rank and shape: its matrix products at one rate, that of the first row, whose steps take turns with
 * those of every other row. Argument: the precision (float32).
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { evenCase } from '../../evaluation/benchmark/cases.js'
import { writeRandomModel } from '../../evaluation/benchmark/randomModel.js'
import { openSteppedRun } from '../../evaluation/benchmark/steppedRun.js'

const [vocabulary, threads, steps] = [1000, 2, 5]
const encoder = (width: number) => (layers: number, length: number) => ({
  ...{ model_type: 'roberta', vocab_size: vocabulary, pad_token_id: 1, max_position_embeddings: length + 2, type_vocab_size: 1 },
  ...{ hidden_size: width, num_hidden_layers: layers, num_attention_heads: width / 64, intermediate_size: 4 * width },
  ...{ layer_norm_eps: 1e-5, hidden_act: 'gelu' },
})
const decoder = (width: number, inner: number, heads: number, keys: number) => (layers: number, length: number) => ({
  ...{
    model_type: 'llama',
    vocab_size: vocabulary,
    pad_token_id: 1,
    max_position_embeddings: length,
    hidden_size: width,
    hidden_act: 'silu',
  },
  ...{
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keys,
    intermediate_size: inner,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  },
})
const shapes = {
  'RoBERTa-base': { kind: 'encoder', config: encoder(768) },
  'RoBERTa-large': { kind: 'encoder', config: encoder(1024) },
  'MiniLM-L6': { kind: 'encoder', config: encoder(384) },
  'SmolLM2-135M': { kind: 'decoder', config: decoder(576, 1536, 9, 3) },
  'LLaMA-7B': { kind: 'decoder', config: decoder(4096, 11_008, 32, 32) },
} as const

/** [shape, texts, tokens, layers, rank] */
const rows = [
  ['RoBERTa-base', 16, 64, 12, 8],
  ['RoBERTa-base', 4, 64, 12, 8],
  ['RoBERTa-base', 32, 64, 12, 8],
  ['RoBERTa-base', 16, 16, 12, 8],
  ['RoBERTa-base', 16, 128, 12, 8],
  ['RoBERTa-base', 4, 256, 12, 8],
  ['RoBERTa-base', 2, 512, 12, 8],
  ['RoBERTa-base', 16, 64, 3, 8],
  ['RoBERTa-base', 16, 64, 6, 8],
  ['RoBERTa-base', 16, 64, 24, 8],
  ['RoBERTa-base', 16, 64, 12, 1],
  ['RoBERTa-base', 16, 64, 12, 64],
  ['RoBERTa-base', 16, 64, 12, 256],
  ['MiniLM-L6', 16, 64, 6, 8],
  ['RoBERTa-large', 16, 64, 24, 8],
  ['SmolLM2-135M', 4, 256, 30, 8],
  ['LLaMA-7B', 1, 256, 2, 8],
] as const

const engine = findDevice('cpu').engine({ threads })
const settings = { method: 'lora', precision: process.argv[2] ?? 'float32', dropout: 0 }
const open = async ([shape, texts, length, layers, rank]: (typeof rows)[number]) => {
  const [{ kind, config }, folder] = [shapes[shape], await mkdtemp(join(tmpdir(), 'salora-step-cost-'))]
  await writeRandomModel(folder, config(layers, length))
  const { batches } = evenCase(texts, length, vocabulary)
  const run = await openSteppedRun({ folder, engine, kind, settings: { ...settings, rank }, steps: 100, batches })
  await run.step(0)
  const close = () => run.release().then(() => rm(folder, { recursive: true }))
  return { run, operations: run.operations(0) / 1e9, close }
}
const timeStep = async ({ run }: Awaited<ReturnType<typeof open>>, step: number): Promise<number> => {
  const began = performance.now()
  await run.step(step)
  return (performance.now() - began) / 1000
}

const yardstick = await open(rows[0])
console.log(`| shape | texts | tokens | layers | rank | GFLOP | GFLOP/s | predicted, s | measured, s | |\n| --- |${' ---: |'.repeat(9)}`)
for (const row of rows) {
  const opened = await open(row)
  const times: (readonly [number, number])[] = []
  for (let step = 1; step <= steps; step++) times.push([await timeStep(yardstick, step), await timeStep(opened, step)])
  await opened.close()
  const [beside, measured] = [0, 1].map((side) => Math.min(...times.map((pair) => pair[side] ?? NaN))) as [number, number]
  const rate = yardstick.operations / beside
  const predicted = opened.operations / rate
  const numbers = [opened.operations.toFixed(0), rate.toFixed(0), predicted.toFixed(2), measured.toFixed(2)]
  console.log(`| ${[...row, ...numbers, `${(100 * (predicted / measured - 1)).toFixed(0)} %`].join(' | ')} |`)
}
await yardstick.close()

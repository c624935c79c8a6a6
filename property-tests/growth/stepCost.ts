/**
 * How well one rate predicts the time of a LoRA step: the operations of its matrix products, divided by the operations a second of the first row, whose
 * steps alternate with those of each row. Argument: the precision (float32).
 */
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { evenCase } from '../../evaluation/benchmark/cases.js'
import { benchmarkConfigs, smallVocabulary as vocabulary, temporaryModel } from '../../evaluation/benchmark/randomModel.js'
import { openSteppedRun } from '../../evaluation/benchmark/steppedRun.js'

const [threads, steps] = [2, 5]
const sizes = (hidden: number, intermediate: number, heads: number, keyValueHeads = heads) => ({
  ...{ hidden_size: hidden, intermediate_size: intermediate, num_attention_heads: heads, num_key_value_heads: keyValueHeads },
})
const shapes = {
  'RoBERTa-base': { kind: 'encoder', ...sizes(768, 3072, 12) },
  'RoBERTa-large': { kind: 'encoder', ...sizes(1024, 4096, 16) },
  'MiniLM-L6': { kind: 'encoder', ...sizes(384, 1536, 6) },
  'SmolLM2-135M': { kind: 'decoder', ...sizes(576, 1536, 9, 3) },
  'LLaMA-7B': { kind: 'decoder', ...sizes(4096, 11_008, 32) },
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
  const { kind, ...shapeSizes } = shapes[shape]
  const config = { ...benchmarkConfigs[kind]({ layers, sequence: length, vocabulary }), ...shapeSizes, num_hidden_layers: layers }
  const { folder, remove } = await temporaryModel(config)
  const { batches } = evenCase(texts, length, vocabulary)
  const run = await openSteppedRun({ folder, engine, kind, settings: { ...settings, rank }, steps: 100, batches })
  await run.step(0)
  const close = () => run.release().then(remove)
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

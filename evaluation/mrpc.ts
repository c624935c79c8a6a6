/**
 * MRPC with a real encoder: SaLoRA r = 8, b = 0.5, with one β or several, beside LoRA r = 8.
 *
 *   node dist/evaluation/mrpc.js --model DIR --data DIR [--betas 0.1,0.001] [--seeds 3] [--epochs 5] [--learning-rate 5e-4] [--output runs/mrpc] [--results FILE]
 */
import { parseArgs } from 'node:util'
import { resolveSettings, type SettingsInput } from '../accelerated/settings.js'
import { compare, comparisonTable, writeComparison } from './comparison.js'

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    betas: { type: 'string', default: '0.1' },
    seeds: { type: 'string', default: '3' },
    epochs: { type: 'string', default: '5' },
    'learning-rate': { type: 'string', default: '5e-4' },
    output: { type: 'string', default: 'runs/mrpc' },
    results: { type: 'string', default: 'evaluation/results/mrpc.json' },
  },
})
const variant = (name: string, own: SettingsInput) => ({
  name,
  options: {
    model: values.model ?? '',
    task: { task: 'mrpc', data: values.data ?? '' },
    settings: resolveSettings({
      rank: 8,
      density: 0.5,
      epochs: Number(values.epochs),
      learningRate: Number(values['learning-rate']),
      batchSize: 32,
      maxLength: 128,
      ...own,
    }),
  },
})
const variants = [
  ...values.betas.split(',').map((beta) => variant(`salora-beta-${beta}`, { method: 'salora', beta: Number(beta) })),
  variant('lora', { method: 'lora' }),
]
const runs = await compare(
  variants,
  Array.from({ length: Number(values.seeds) }, (_, i) => i),
  values.output,
  console.log,
)
console.log(comparisonTable(runs))
const majority = runs[0]?.result.majority
console.log(`majority class: ${majority?.label}, ${(100 * (majority?.share ?? NaN)).toFixed(1)} %`)
await writeComparison(
  values.results,
  `node dist/evaluation/mrpc.js --betas ${values.betas} --seeds ${values.seeds} --epochs ${values.epochs} --learning-rate ${values['learning-rate']}`,
  runs,
)

/**
 * MRPC with a real encoder: SaLoRA r = 8, b = 0.5 beside LoRA r = 8.
 *
 *   node dist/evaluation/mrpc.js --model DIR --data DIR [--seeds 3] [--epochs 5] [--learning-rate 5e-4] [--output runs/mrpc] [--results FILE]
 */
import { parseArgs } from 'node:util'
import { resolveSettings } from '../accelerated/settings.js'
import { compare, comparisonTable, writeComparison } from './comparison.js'

const { values } = parseArgs({
  options: {
    model: { type: 'string' }, data: { type: 'string' }, seeds: { type: 'string', default: '3' }, epochs: { type: 'string', default: '5' },
    'learning-rate': { type: 'string', default: '5e-4' }, output: { type: 'string', default: 'runs/mrpc' }, results: { type: 'string', default: 'evaluation/results/mrpc.json' },
  },
})
const variants = (['salora', 'lora'] as const).map((method) => ({
  name: method,
  options: {
    model: values.model ?? '', task: { task: 'mrpc', data: values.data ?? '' },
    settings: resolveSettings({ method, rank: 8, density: 0.5, epochs: Number(values.epochs), learningRate: Number(values['learning-rate']), batchSize: 32, maxLength: 128 }),
  },
}))
const runs = await compare(variants, Array.from({ length: Number(values.seeds) }, (_, i) => i), values.output, console.log)
console.log(comparisonTable(runs))
const majority = runs[0]?.result.majority
console.log(`majority class: ${majority?.label}, ${(100 * (majority?.share ?? NaN)).toFixed(1)} %`)
await writeComparison(values.results, `node dist/evaluation/mrpc.js --seeds ${values.seeds} --epochs ${values.epochs} --learning-rate ${values['learning-rate']}`, runs)

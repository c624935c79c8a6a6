/**
 * Do the gates find structure? SaLoRA beside LoRA of the same start and of the same end, and beside halves that no gate chose.
 *
 *   node dist/evaluation/studies/structure.js --model DIR --task mrpc --data DIR [--variants lora-8,lora-4,…] [--seeds 3] [--epochs 12]
 *     [--learning-rate 1e-3] [--precision float32] [--output runs/structure] [--results FILE] [--jobs 2]
 */
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { resolveSettings, type SettingsInput } from '../../accelerated/settings.js'
import { compare, comparisonTable } from './comparison.js'

/** Fixed before looking; what differs from the defaults of `salora train`. */
const variants: Readonly<Record<string, SettingsInput>> = {
  'lora-8': { method: 'lora' },
  'lora-4': { method: 'lora', rank: 4, alpha: 8 }, // the same scale, and the parameters that SaLoRA ends with
  'salora-mean': {},
  'salora-mean-kept': { gateAfter: 'kept' },
  'salora-sum': { orthogonality: 'sum' },
  'salora-sum-kept': { orthogonality: 'sum', gateAfter: 'kept' },
  'salora-sum-folded': { orthogonality: 'sum', orthogonalityAfter: 'folded' },
  'salora-sum-off': { orthogonality: 'sum', orthogonalityAfter: 'off' },
  'salora-random': { retain: 'random' },
  'salora-magnitude': { retain: 'magnitude' },
  'salora-paper': { orthogonality: 'sum', control: 'paper', retain: 'paper', gateAfter: 'binary' },
}

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    task: { type: 'string', default: 'mrpc' },
    data: { type: 'string' },
    variants: { type: 'string', default: Object.keys(variants).join(',') },
    seeds: { type: 'string', default: '3' },
    epochs: { type: 'string', default: '12' },
    'learning-rate': { type: 'string', default: '1e-3' },
    precision: { type: 'string', default: 'float32' },
    output: { type: 'string', default: 'runs/structure' },
    results: { type: 'string' },
    jobs: { type: 'string', default: '2' },
  },
})
const { model = '', task, data = '' } = values

const chosen = values.variants.split(',').map((name) => {
  const own = variants[name]
  if (own === undefined) throw new Error(`--variants: expected some of ${Object.keys(variants).join(', ')}, found ${name}`)
  const settings = resolveSettings({
    rank: 8,
    epochs: Number(values.epochs),
    learningRate: Number(values['learning-rate']),
    batchSize: 32,
    maxLength: 128,
    threads: 1,
    precision: values.precision,
    ...own,
  })
  return { name, options: { model, task: { task, data }, settings } }
})
const runs = await compare(
  {
    variants: chosen,
    seeds: Array.from({ length: Number(values.seeds) }, (_, i) => i),
    folder: join(values.output, `${task}-${basename(model)}`),
    results: values.results ?? `evaluation/results/${task}-${basename(model)}.json`,
    command: `node dist/evaluation/studies/structure.js --model DIR --task ${task} --data DIR --variants ${values.variants} --seeds ${values.seeds} --epochs ${values.epochs} --learning-rate ${values['learning-rate']}${values.precision === 'float32' ? '' : ` --precision ${values.precision}`}`,
    jobs: Number(values.jobs),
  },
  console.log,
)
console.log(comparisonTable(runs))
const majority = runs[0]?.result.majority
if (majority != null) console.log(`majority class: ${majority.label}, ${(100 * majority.share).toFixed(1)} %`)

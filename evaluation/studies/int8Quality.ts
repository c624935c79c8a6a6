/**
 * What does an int8 base cost in quality? LoRA and SaLoRA on tasks of GLUE in float32 and in int8, the same seeds, and the difference of each pair.
 *
 *   node dist/evaluation/studies/int8Quality.js --model DIR --data GLUE [--tasks sst2,cola,mrpc,stsb] [--seeds 3] [--epochs 4] [--learning-rate 1e-3]
 *     [--output runs/int8] [--results evaluation/results] [--jobs 2]
 *
 * GLUE is the folder of the official folders. Finished runs stand in RESULTS/int8-TASK.json, and are not run again.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { mean, quantile } from 'simple-statistics'
import { uniforms } from '../../accelerated/training/random.js'
import { resolveSettings } from '../../accelerated/settings.js'
import { compare, type ComparedRun } from './comparison.js'

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: '' },
    data: { type: 'string', default: '' },
    tasks: { type: 'string', default: 'sst2,cola,mrpc,stsb' },
    seeds: { type: 'string', default: '3' },
    epochs: { type: 'string', default: '4' },
    'learning-rate': { type: 'string', default: '1e-3' },
    output: { type: 'string', default: 'runs/int8' },
    results: { type: 'string', default: 'evaluation/results' },
    jobs: { type: 'string', default: '2' },
  },
})

const methods = ['lora', 'salora'] as const
const precisions = ['float32', 'int8'] as const

const variants = (task: string) =>
  methods.flatMap((method) =>
    precisions.map((precision) => {
      const settings = resolveSettings({
        method,
        precision,
        rank: 8,
        epochs: Number(values.epochs),
        learningRate: Number(values['learning-rate']),
        batchSize: 32,
        maxLength: 128,
        threads: 1,
      })
      return { name: `${method}-${precision}`, options: { model: values.model, task: { task, data: values.data }, settings } }
    }),
  )

/** The task's first metric after the last epoch, in points. */
const scoreOf = ({ result: { last } }: ComparedRun): number => 100 * (Object.values(last.scores)[0] ?? NaN)

type Pair = { readonly float32: number; readonly int8: number }

const pairsOf = (runs: ReadonlyArray<ComparedRun>, method: string): ReadonlyArray<Pair> =>
  [...new Set(runs.map(({ seed }) => seed))].flatMap((seed) => {
    const found = precisions.map((precision) => runs.find((run) => run.seed === seed && run.variant === `${method}-${precision}`))
    const [single, eight] = found
    return single === undefined || eight === undefined ? [] : [{ float32: scoreOf(single), int8: scoreOf(eight) }]
  })

const draws = 10_000

/** Of the mean: the middle 95 % of the means of resampled differences. */
const interval = (differences: ReadonlyArray<number>): readonly [number, number] => {
  const n = differences.length
  const u = uniforms(0, 'order', 0, draws * n)
  const means = Array.from({ length: draws }, (_, i) =>
    mean(Array.from({ length: n }, (__, j) => differences[Math.floor((u[i * n + j] ?? 0) * n)] ?? NaN)),
  )
  return [quantile(means, 0.025), quantile(means, 0.975)]
}

const row = (name: string, pairs: ReadonlyArray<Pair>): string => {
  const differences = pairs.map(({ float32, int8 }) => int8 - float32)
  const [low, high] = interval(differences)
  const cells = [
    name,
    mean(pairs.map(({ float32 }) => float32)).toFixed(1),
    mean(pairs.map(({ int8 }) => int8)).toFixed(1),
    `${mean(differences).toFixed(2)} (${low.toFixed(2)} … ${high.toFixed(2)})`,
    String(pairs.length),
  ]
  return `| ${cells.join(' | ')} |`
}

const rows: string[] = []
const all: Pair[] = []
for (const task of values.tasks.split(',')) {
  const runs = await compare(
    {
      variants: variants(task),
      seeds: Array.from({ length: Number(values.seeds) }, (_, i) => i),
      folder: join(values.output, task),
      results: join(values.results, `int8-${task}.json`),
      command: `node dist/evaluation/studies/int8Quality.js --model DIR --data GLUE --tasks ${task} --seeds ${values.seeds} --epochs ${values.epochs} --learning-rate ${values['learning-rate']}`,
      jobs: Number(values.jobs),
    },
    (line) => console.log(`${task}: ${line}`),
  )
  for (const method of methods) {
    const pairs = pairsOf(runs, method)
    all.push(...pairs)
    rows.push(row(`${task}, ${method}`, pairs))
  }
}
console.log('| | float32 | int8 | difference (95 %) | pairs |\n| --- | --- | --- | --- | --- |')
for (const line of [...rows, row('all', all)]) console.log(line)

/**
 * What does an int8 or int4 base cost in quality? LoRA and SaLoRA on tasks of GLUE in float32 and in a low precision, the same seeds, and the difference
 * of each pair.
 *
 *   node dist/evaluation/studies/int8Quality.js --model DIR --data GLUE [--tasks sst2,cola,mrpc,stsb] [--seeds 3] [--epochs 4] [--learning-rate 1e-3]
 *     [--precisions float32,int8] [--output runs/int8] [--results evaluation/results] [--jobs 2]
 *
 * GLUE is the folder of the official folders. Finished runs are in RESULTS/int8-TASK.json, and are not repeated.
 */
import { join } from 'node:path'
import { mean, quantile } from 'simple-statistics'
import { uniforms } from '../../accelerated/parameters/random.js'
import { parseSettings } from '../../accelerated/training/settings.js'
import { countFlag, numberFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { compare, type ComparedRun } from './comparison.js'

const { flags: given } = scriptValues({
  name: 'node dist/evaluation/studies/int8Quality.js',
  description: 'Compare LoRA and SaLoRA in float32 and in int8 or int4 on GLUE tasks, pair by pair with the same seeds.',
  flags: {
    Options: {
      model: required(textFlag('folder|id', 'Model to fine-tune'), 'a folder in Hugging Face layout or a hub id'),
      data: required(textFlag('folder', 'Folder of the official GLUE folders'), 'a folder'),
      tasks: textFlag('names', 'GLUE tasks, separated by commas', { default: 'sst2,cola,mrpc,stsb' }),
      seeds: countFlag('n', 'Runs per cell, with the seeds 0 to n − 1', { default: 3 }),
      epochs: countFlag('n', 'Epochs of each run', { default: 4 }),
      learningRate: numberFlag('rate', 'Peak learning rate of each run', { default: 0.001 }),
      precisions: textFlag('names', 'Precisions to run, separated by commas', { default: 'float32,int8' }),
      output: textFlag('folder', 'Temporary folder of the runs', { default: 'runs/int8' }),
      results: textFlag('folder', 'Folder for int8-TASK.json; runs that it has are not repeated', { default: 'evaluation/results' }),
      jobs: countFlag('n', 'Parallel runs, with one thread each', { default: 2 }),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/int8Quality.js --model ./minilm --data glue --tasks mrpc --seeds 1',
      result: 'Writes evaluation/results/int8-mrpc.json.',
    },
  ],
})

const methods = ['lora', 'salora'] as const
const precisions = given.precisions.split(',')
const low = precisions.find((precision) => precision !== 'float32') ?? 'int8'

const variants = (task: string) =>
  methods.flatMap((method) =>
    precisions.map((precision) => {
      const settings = parseSettings({
        method,
        ...(method === 'salora' ? { gateStart: 0.2, gateEnd: 0.5 } : {}), // the paper's, as in the stored runs
        precision,
        rank: 8,
        epochs: given.epochs,
        learningRate: given.learningRate,
        batchSize: 32,
        maxLength: 128,
        threads: 1,
      })
      return { name: `${method}-${precision}`, options: { model: given.model, task: { task, data: given.data }, settings } }
    }),
  )

/** The task's first metric after the last epoch, in points. */
const scoreOf = ({ result: { last } }: ComparedRun): number => 100 * (Object.values(last.scores)[0] ?? NaN)

type Pair = { readonly float32: number; readonly low: number }

const pairsOf = (runs: ReadonlyArray<ComparedRun>, method: string): ReadonlyArray<Pair> =>
  [...new Set(runs.map(({ seed }) => seed))].flatMap((seed) => {
    const pair = ['float32', low].map((precision) => runs.find((run) => run.seed === seed && run.variant === `${method}-${precision}`))
    const [single, other] = pair
    return single === undefined || other === undefined ? [] : [{ float32: scoreOf(single), low: scoreOf(other) }]
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
  const differences = pairs.map((pair) => pair.low - pair.float32)
  const [from, to] = interval(differences)
  const cells = [
    name,
    mean(pairs.map(({ float32 }) => float32)).toFixed(1),
    mean(pairs.map((pair) => pair.low)).toFixed(1),
    `${mean(differences).toFixed(2)} (${from.toFixed(2)} … ${to.toFixed(2)})`,
    String(pairs.length),
  ]
  return `| ${cells.join(' | ')} |`
}

const rows: string[] = []
const all: Pair[] = []
for (const task of given.tasks.split(',')) {
  const runs = await compare(
    {
      variants: variants(task),
      seeds: Array.from({ length: given.seeds }, (_, i) => i),
      folder: join(given.output, task),
      results: join(given.results, `int8-${task}.json`),
      command: `node dist/evaluation/studies/int8Quality.js --model DIR --data GLUE --tasks ${task} --seeds ${given.seeds} --epochs ${given.epochs} --learning-rate ${given.learningRate}`,
      jobs: given.jobs,
    },
    (line) => console.log(`${task}: ${line}`),
  )
  for (const method of methods) {
    const pairs = pairsOf(runs, method)
    all.push(...pairs)
    if (pairs.length > 0) rows.push(row(`${task}, ${method}`, pairs)) // none without float32's runs
  }
}
console.log(`| | float32 | ${low} | difference (95 %) | pairs |\n| --- | --- | --- | --- | --- |`)
for (const line of [...rows, ...(all.length > 0 ? [row('all', all)] : [])]) console.log(line)

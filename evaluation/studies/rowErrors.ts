/**
 * How far could the difference of two methods of a sweep change if the dev set had other rows? A paired bootstrap over them, task by task.
 *
 *   node dist/evaluation/studies/rowErrors.js RUNS FILE --methods lora-4,salora:density=0.5
 *
 * RUNS is the folder of `salora glue`, with its adapters. Each task that has pairs is in FILE; the others stay as they are there.
 */
import { readdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { mean } from 'simple-statistics'
import { z } from 'zod'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import { validate } from '../../accelerated/errors/validate.js'
import { uniforms } from '../../accelerated/parameters/random.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { openTrainedAdapter } from '../../finetuning/adapters/trainedAdapter.js'
import { countFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { GLUE_TASKS, type GlueName } from '../../finetuning/data/glueTasks.js'
import { METRICS } from '../../finetuning/metrics/score.js'
import { readRunConfig, readRunResult } from '../../finetuning/runs/runFiles.js'
import { loadEvaluation } from '../../finetuning/tasks/index.js'
import { cellId } from '../glue/plan.js'
import { scoreOf } from '../glue/score.js'
import { rowBootstrap } from '../glue/statistics.js'

const {
  flags: { methods, draws },
  words: [folder = '', file = ''],
} = scriptValues({
  name: 'node dist/evaluation/studies/rowErrors.js',
  description: 'Bootstrap the rows of the dev set: the error of the difference of two methods of a sweep, which is due to the rows alone.',
  arguments: [
    { name: 'runs', description: "The sweep's folder, with the adapters of its runs", required: true },
    { name: 'file', description: 'The file of the errors', required: true },
  ],
  flags: {
    Options: {
      methods: required(textFlag('names', 'Two methods, as salora glue --methods has them, separated by a comma'), 'two names'),
      draws: countFlag('n', 'Draws of the bootstrap', { default: 1000, from: 2 }),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/rowErrors.js runs/table1 row-errors.json --methods lora,salora',
      result: 'Writes the difference of each task in points, with its standard error and interval over rows.',
    },
  ],
})

const [first, second] = methods.split(',')
if (first === undefined || second === undefined) throw new InputError('--methods', 'two names, such as lora,salora', methods)

/** The dev set's labels, and a run's predictions of them: classes, or numbers. */
type Predicted = { readonly labels: ReadonlyArray<number>; readonly predictions: ReadonlyArray<number> }

/** @throws InputError if the predictions do not have the score of the run */
const predictedBy = async (cell: string, task: GlueName): Promise<Predicted | null> => {
  const run = join(folder, 'cells', cell)
  const [config, result] = [await readRunConfig(run), await readRunResult(run)]
  if (config === null || result === null || result.interrupted || !existsSync(join(run, 'adapter'))) return null
  const { precision, threads, maxLength } = config.settings
  const adapter = await openTrainedAdapter({ model: config.model, adapter: join(run, 'adapter'), precision, threads, maxLength })
  try {
    const { examples } = (await loadEvaluation(config.task)).evaluation
    const outputs = await adapter.predict(examples)
    const labels = examples.map(({ label }) => label)
    const predictions = outputs.map((logits) => (logits.length === 1 ? (logits[0] ?? NaN) : logits.indexOf(Math.max(...logits))))
    const [found, reported] = [100 * METRICS[GLUE_TASKS[task].paperMetric](predictions, labels), scoreOf(task, 'last', result)]
    if (!(Math.abs(found - reported) < largestDrift))
      throw inputError(run, `predictions with the run's score of ${reported}`, String(found))
    return { labels, predictions }
  } finally {
    await adapter.release()
  }
}

/** Points by which a score may move. Prediction sums in another order, so int8 rounds some values to their other neighbor. */
const largestDrift = 2

/** A method's runs by seed. */
const runsOf = async (task: GlueName, row: string): Promise<ReadonlyMap<string, Predicted>> => {
  const found = new Map<string, Predicted>()
  const start = cellId({ task, row, seed: 0 }).slice(0, -1)
  for (const cell of (await readdir(join(folder, 'cells'))).filter((name) => name.startsWith(start)).sort()) {
    const predicted = await predictedBy(cell, task)
    if (predicted !== null) found.set(cell.slice(start.length), predicted)
  }
  return found
}

const bootstrapOf = async (task: GlueName) => {
  const [before, after] = [await runsOf(task, first), await runsOf(task, second)]
  const pairs = [...before].flatMap(([seed, one]) => {
    const other = after.get(seed)
    return other === undefined ? [] : [[one, other] as const]
  })
  const [pair] = pairs
  if (pair === undefined) return null
  const metric = METRICS[GLUE_TASKS[task].paperMetric]
  const count = pair[0].labels.length
  const scoreOn = ({ predictions, labels }: Predicted, drawn: Int32Array): number =>
    metric(
      Array.from(drawn, (row) => predictions[row] ?? NaN),
      Array.from(drawn, (row) => labels[row] ?? NaN),
    )
  const difference = (drawn: Int32Array): number => 100 * mean(pairs.map(([one, other]) => scoreOn(other, drawn) - scoreOn(one, drawn)))
  const all = difference(Int32Array.from({ length: count }, (_, row) => row))
  return {
    ...{ task, rows: count, seeds: pairs.length, difference: all },
    ...rowBootstrap(count, draws, difference, (draw) => uniforms(0, 'order', draw, count)),
  }
}

const stored = z.looseObject({ tasks: z.array(z.looseObject({ task: z.string().max(100) })).max(100) })
const earlier = existsSync(file) ? validate(stored, parseJson(await readText(file), file), file, 'errors over rows').tasks : []
const tasks = []
for (const task of Object.keys(GLUE_TASKS) as GlueName[]) {
  const found = (await bootstrapOf(task)) ?? earlier.find((one) => one.task === task)
  if (found === undefined) continue
  tasks.push(found)
  console.log(JSON.stringify(found))
}
if (tasks.length === 0) throw inputError(folder, `runs of ${first} and of ${second} with the same seed, and their adapters`, 'none')
const command = `node dist/evaluation/studies/rowErrors.js RUNS FILE --methods ${methods} --draws ${draws}`
await writeFileAtomically(file, `${JSON.stringify({ command, tasks }, null, 1)}\n`)

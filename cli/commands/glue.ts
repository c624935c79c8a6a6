/** salora glue: a table of the paper, or a part of it, as many runs and one table. */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { trainingSettings, machineSettings } from '../../accelerated/settings/commonSettings.js'
import { isHubAddress } from '../../accelerated/checkpoints/hub/hubDataset.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { GLUE_NAMES, type GlueName } from '../../finetuning/data/glueTasks.js'
import { glueSweep, type Executor, type GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import { loadBullmq } from '../../evaluation/glue/queuePackages.js'
import type { GlueSweepOptions } from '../../evaluation/glue/sweepOptions.js'
import { gridOfAppendixB } from '../../evaluation/glue/glueRecipes.js'
import type { Grid } from '../../evaluation/glue/plan.js'
import { redisAddress } from '../../evaluation/glue/redis.js'
import { rowOf } from '../../evaluation/glue/rows.js'
import { sweeps } from '../../evaluation/glue/sweeps/index.js'
import { table1 } from '../../evaluation/glue/sweeps/table1.js'
import { sweepMarkdown } from '../../evaluation/glue/sweepTableText.js'
import { placed } from '../../finetuning/runs/absolutePath.js'
import { withOffline, withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { failedRuns } from '../format/failedRuns.js'
import { choiceOf, flagValues, listOf, numberOf, type Values } from '../options/flagValues.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { plural } from '../format/numbers.js'
import { sweepProgress } from '../terminal/sweepProgress.js'
import { addFlags } from '../options/trainFlags.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

/** What a sweep asks of every run; seeds it gives itself. */
const ofRuns = [...Object.keys(trainingSettings), ...Object.keys(machineSettings)].filter((name) => name !== 'seed')

const glueFolder = "a folder of GLUE's official folders or of the hub's Parquet, or hf://datasets/nyu-mll/glue"

export const addGlue = (command: Command): void => {
  command.description(
    'Fine-tunes by several methods on tasks of GLUE, with several seeds, and makes one table: the paper’s Table 1, any part of it, or another table or figure by ' +
      '--sweep. Epochs and learning rates are those of Table A2 for the model’s size, where no flag says otherwise. Each run is a run as of salora train, in ' +
      'cells/; what is done is kept, and the same command goes on with what is not, or adds methods, tasks and seeds. The table gives mean ± maximum deviation.',
  )
  command
    .option('--sweep <name>', `${sweeps.map(({ name, summary }) => `${name} (${summary})`).join(', ')} (default: table1)`)
    .option('--model <folder|id>', 'that is fine-tuned')
    .option('--data <folder>', glueFolder)
    .option(
      '--methods <names>',
      'of table1, with commas: lora,salora; with a rank as lora-4, whose alpha is 8; with settings as salora:retain=random (default: all)',
    )
    .option('--tasks <names>', `with commas, of ${GLUE_NAMES.join(', ')} (default: those of the sweep)`)
    .option('--seeds <n>', 'runs of each cell, with the seeds 0 to n − 1 (default: 5)')
    .option('--max-train-samples <n>', 'the first n training examples of each task; the table says so (default: all)')
    .option(
      '--score <which>',
      'last or best evaluation of each run; the best is chosen on the dev file that it is reported on (default: last)',
    )
    .option('--baseline <row>', 'row that others are compared with, seed by seed (default: lora, where there is one)')
    .option(
      '--grid [rates]',
      'choose the learning rate of each task and row of these first, by one seed (with commas; Appendix B’s where none are named)',
    )
    .option('--select-on <part>', 'of --grid: train, a tenth of it held out, or dev, which is then chosen and reported on (default: train)')
    .option(
      '--submission <file.zip>',
      "also predict GLUE's test files by one row, each task by the seed that did best on dev, as gluebenchmark.com takes it",
    )
    .option('--submission-row <row>', 'of --submission (default: the last of the table)')
    .option('--jobs <n>', 'runs at a time, each in a process of its own (default: 1)')
    .option(
      '--redis <url>',
      'put the runs into this queue instead, for salora worker on any machine that sees the same folders; rediss:// with TLS',
    )
    .option('--output <folder>', 'of the sweep: cells/, table.md, table.csv, table.tex, sweep.json')
  withOffline(addFlags(command, ofRuns, Object.fromEntries(ofRuns.map((name) => [name, 'the recipe’s']))))
  withOutput(
    command,
    [
      'salora glue --model FacebookAI/roberta-base --data glue --output runs/table1 --jobs 2',
      'salora glue --model ./minilm --data glue --methods lora,lora-4,salora --tasks mrpc,cola --seeds 3 --epochs 12 --output runs/small',
      'salora glue --sweep table3 --model FacebookAI/roberta-base --data glue --output runs/table3',
    ],
    async (given, terminal) => {
      const options = requestOf(given)
      const executor = executorOf(given, options)
      if (executor === undefined) await checkData(options.data)
      else await loadBullmq()
      const interrupt = watchInterrupt(
        () => terminal.note('stopping each run after the step at hand; once more leaves at once'),
        () => progress.close(),
      )
      const progress = sweepProgress(terminal)
      const result = await glueSweep(options, interrupt.signal, progress.tell, executor).finally(() => {
        progress.close()
        interrupt.release()
      })
      for (const line of failedRuns(result.failed)) terminal.warn(line)
      terminal.result(resultText(result, options.output), result)
      const code = interrupt.exitCode()
      if (code !== null) terminal.note(`stopped; the same command goes on`)
      return code ?? (result.failed.length > 0 ? exitCodes.failure : exitCodes.success)
    },
  )
}

const requestOf = (given: Values): GlueSweepOptions => {
  const text = (name: string, expected: string): string => {
    const value = given[name]
    if (typeof value !== 'string' || value === '') throw usageError(`--${name}`, expected, 'none given')
    return value
  }
  const count = (name: string, flag: string, usual: number | null): number | null => {
    if (given[name] === undefined) return usual
    const value = numberOf(flag, String(given[name]))
    if (!Number.isInteger(value) || value < 1) throw usageError(flag, 'a whole number of at least 1', String(given[name]))
    return value
  }
  const sweepName = choiceOf(
    given,
    'sweep',
    sweeps.map(({ name }) => name),
  )
  const sweep = sweeps.find(({ name }) => name === sweepName) ?? table1
  if (sweep.inTurn === true && count('jobs', '--jobs', 1) !== 1)
    throw usageError('--jobs', '1 with this sweep, whose runs are timed one after another', String(given['jobs']))
  if (given['methods'] !== undefined && sweep.name !== 'table1')
    throw usageError('--methods', 'none with this sweep, which has its own rows', sweep.name)
  if (given['selectOn'] !== undefined && given['grid'] === undefined) throw usageError('--select-on', '--grid beside it', 'none given')
  if (given['grid'] !== undefined && given['learningRate'] !== undefined)
    throw usageError('--learning-rate', 'either a rate or --grid', 'both')
  const names = given['methods'] === undefined ? null : unique('--methods', listOf('--methods', String(given['methods'])))
  const tasks = given['tasks'] === undefined ? [] : unique('--tasks', listOf('--tasks', String(given['tasks'])))
  const output = text('output', 'the folder of the sweep')
  return {
    sweep,
    model: placed(text('model', 'a folder in Hugging Face layout or a hub id')),
    data: placed(text('data', glueFolder)),
    tasks: tasks.map(taskOf),
    rows: names?.map(rowOf) ?? null,
    seeds: Array.from({ length: count('seeds', '--seeds', 5) ?? 5 }, (_, i) => i),
    overrides: flagValues(Object.fromEntries(ofRuns.map((name) => [name, given[name]]))),
    maxTrainSamples: count('maxTrainSamples', '--max-train-samples', null),
    output: resolve(output),
    jobs: count('jobs', '--jobs', 1) ?? 1,
    reported: choiceOf(given, 'score', ['last', 'best'] as const) ?? 'last',
    baseline: typeof given['baseline'] === 'string' ? given['baseline'] : null,
    submission: submissionOf(given),
    grid: gridOf(given),
  }
}

/** Before the first run, which would each say so; workers may see another disk. A task's own folder is that task's matter. @throws Mistake */
const checkData = async (data: string): Promise<void> => {
  const found = isHubAddress(data)
    ? null
    : await stat(data).then(
        (it) => (it.isDirectory() ? null : 'a file'),
        () => 'none',
      )
  if (found !== null) throw inputError(`--data ${data}`, glueFolder, found)
}

const gridOf = (given: Values): Grid | null => {
  const { grid } = given
  if (grid === undefined) return null
  const rates = grid === true ? gridOfAppendixB : listOf('--grid', String(grid)).map((rate) => numberOf('--grid', rate))
  const wrong = rates.find((rate) => rate <= 0)
  if (wrong !== undefined) throw usageError('--grid', 'learning rates above 0', String(wrong))
  unique('--grid', rates)
  return { rates, on: choiceOf(given, 'selectOn', ['train', 'dev'] as const) ?? 'train' }
}

const submissionOf = (given: Values): GlueSweepOptions['submission'] => {
  const { submission: file, submissionRow: row } = given
  if (row !== undefined && file === undefined) throw usageError('--submission-row', '--submission beside it', 'none given')
  if (file === undefined) return null
  if (!String(file).endsWith('.zip')) throw usageError('--submission', 'a file whose name ends in .zip', String(file))
  return { file: String(file), row: row === undefined ? null : String(row) }
}

/** In this process, or by whoever takes the runs from the queue. */
const executorOf = (given: Values, { sweep }: GlueSweepOptions): Executor | undefined => {
  const { redis } = given
  if (redis === undefined) return undefined
  if (given['jobs'] !== undefined) throw usageError('--jobs', 'none with --redis: each worker has its own', String(given['jobs']))
  if (sweep.inTurn === true) throw usageError('--redis', 'none with this sweep, whose runs are timed one after another', sweep.name)
  redisAddress(String(redis))
  return async (cells, context) =>
    (await import('../../evaluation/glue/queueExecutor.js')).runQueuedCells(cells, { ...context, redis: String(redis) })
}

const taskOf = (name: string): GlueName => {
  const found = GLUE_NAMES.find((task) => task === name)
  if (found === undefined) throw usageError('--tasks', `some of ${GLUE_NAMES.join(', ')}`, name)
  return found
}

const unique = <T>(flag: string, values: ReadonlyArray<T>): ReadonlyArray<T> => {
  const twice = values.find((value, i) => values.indexOf(value) !== i)
  if (twice !== undefined) throw usageError(flag, 'each once', `${String(twice)} twice`)
  return values
}

const resultText = ({ table, done, cells, failed, submission }: GlueSweepResult, output: string): string =>
  [
    sweepMarkdown(table),
    `${done} of ${plural(cells, 'run')} done${failed.length > 0 ? `, ${failed.length} failed` : ''}; ${output} has table.md, table.csv, table.tex and sweep.json`,
    ...(submission === null
      ? []
      : [
          `${submission.file} has predictions of ${submission.row}${submission.missing.length === 0 ? '' : `; GLUE asks for ${submission.missing.join(', ')} too`}`,
        ]),
  ].join('\n')

/** salora glue: a table or figure of the paper, or part of it: many runs, one table. */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { trainingSettings, machineSettings } from '../../accelerated/settings/commonSettings.js'
import { isHubAddress } from '../../accelerated/checkpoints/hub/hubRules.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import { glueSweep, type GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import type { Executor } from '../../evaluation/jobs/executor.js'
import type { GlueSweepOptions } from '../../evaluation/glue/plan.js'
import { appendixBGrid } from '../../evaluation/glue/paper.js'
import type { Grid } from '../../evaluation/glue/plan.js'
import { parseRow, sweeps, table1 } from '../../evaluation/glue/sweep.js'
import { sweepMarkdown } from '../../evaluation/glue/sweepTableText.js'
import {
  choiceFlag,
  countFlag,
  flag,
  listFlag,
  parseList,
  parseNumber,
  required,
  textFlag,
  type Flag,
} from '../../finetuning/commandLine/flag.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { absoluteModel, absolutePath } from '../../finetuning/run/absolutePath.js'
import { failedRuns, sweepProgress } from '../terminal/sweepProgress.js'
import { plural } from '../format/numbers.js'
import { executorFlags, openQueue } from '../options/executorFlags.js'
import { dropUndefined, pickFlags, type Values } from '../options/settingFlags.js'
import { allTrainFlags, offlineFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt } from '../terminal/interrupt.js'

/** Settings of every run, except its seed. */
const runSettings = [...Object.keys(trainingSettings), ...Object.keys(machineSettings)].filter((name) => name !== 'seed')

const glueFolder = "a folder of GLUE's official folders or of the hub's Parquet files, or hf://datasets/nyu-mll/glue"

/** Values separated by commas, each once. @throws UsageError */
const unique = <T>(where: string, values: readonly T[]): readonly T[] => {
  const repeated = values.find((value, i) => values.indexOf(value) !== i)
  if (repeated !== undefined) throw usageError(where, 'each once', `${String(repeated)} twice`)
  return values
}

const uniqueListFlag = (placeholder: string, description: string, defaultText: string): Flag<readonly string[] | null> => {
  const list = listFlag(placeholder, description, { defaultText })
  return {
    ...list,
    parse: (where, typed) => {
      const values = list.parse(where, typed)
      return values === null ? null : unique(where, values)
    },
  }
}

/** Learning rates; without a value those of Appendix B. */
const gridFlag: Flag<readonly number[] | null> = flag({
  arity: 'optional',
  placeholder: 'rates',
  description: 'Choose the learning rate of each task and row from these, separated by commas, with a seed that the table does not use',
  defaultText: 'without a value those of Appendix B',
  parse: (where, typed) => {
    if (typed === undefined) return null
    const rates = typeof typed === 'string' ? parseList(where, typed).map((rate) => parseNumber(where, rate)) : appendixBGrid
    const wrong = rates.find((rate) => rate <= 0)
    if (wrong !== undefined) throw usageError(where, 'learning rates above 0', String(wrong))
    return unique(where, rates)
  },
})

const sweepFlags = {
  sweep: choiceFlag(
    sweeps.map(({ name }) => name),
    'name',
    `Table or figure: ${sweeps.map(({ name, summary }) => `${name} (${summary})`).join(', ')}`,
    { default: table1.name },
  ),
  methods: uniqueListFlag(
    'names',
    'Rows of table1, separated by commas: lora,salora. lora-4 has rank 4 and alpha 8. salora:retain=random changes a setting',
    'all',
  ),
  tasks: uniqueListFlag('names', `Tasks, separated by commas: ${GLUE_NAMES.join(', ')}`, 'those of the sweep'),
  seeds: countFlag('n', 'Runs of each cell, with the seeds 0 to n − 1', { default: 5 }),
  maxTrainSamples: countFlag('n', 'Use only the first n training examples of each task', { defaultText: 'all' }),
  grid: gridFlag,
  selectOn: choiceFlag(['train', 'dev'], 'part', 'Data of --grid: train (a held-out tenth), or dev, which the table also reports', {
    defaultText: 'train',
  }),
} as const

const tableFlags = {
  score: choiceFlag(['last', 'best'], 'which', 'Evaluation in the table: last, or best, which is selected on the reported dev file', {
    default: 'last',
  }),
  baseline: textFlag('row', 'Row that the others are compared with, seed by seed', { defaultText: 'lora, if present' }),
} as const

export const glue = defineCommand({
  name: 'salora glue',
  description:
    'Fine-tune with several methods, tasks and seeds on GLUE and write one table (mean ± maximum deviation). It is Table 1 of the paper, part of it, or another table or figure. ' +
    "Epochs, learning rates and SaLoRA's window of gates are the paper's unless given. Rerunning the command resumes the sweep, or adds methods, tasks and seeds.",
  looseWords: { flags: ['data'] },
  flags: {
    'Model and data': {
      model: required(textFlag('folder|id', 'Model to fine-tune'), 'a folder in Hugging Face layout, a hub id, or embedded'),
      data: required(textFlag('folder', `GLUE data: ${glueFolder}`), glueFolder),
    },
    Sweep: sweepFlags,
    Table: tableFlags,
    Run: {
      output: required(textFlag('folder', 'Sweep folder: cells/, table.md, table.csv, table.tex, sweep.json'), 'the folder of the sweep'),
      ...executorFlags,
    },
    Training: pickFlags(allTrainFlags, runSettings, Object.fromEntries(runSettings.map((name) => [name, "the recipe's"]))),
    Machine: offlineFlags,
  },
  examples: [
    {
      command: 'salora glue --model FacebookAI/roberta-base --data glue --output runs/table1 --jobs 2',
      result: 'Trains all methods on all tasks with five seeds, and writes runs/table1/table.md.',
    },
    {
      command: 'salora glue --model ./minilm --data glue --methods lora,lora-4,salora --tasks mrpc,cola --seeds 3 --output runs/small',
      result: 'Writes a table of three rows and two tasks.',
    },
  ],
  run: async (flags, terminal) => {
    const options = sweepOptions(flags)
    const executor = await openExecutor(flags, options)
    if (executor === undefined) await checkData(options.data)
    const interrupt = watchInterrupt(
      () => terminal.note('stopping each run after its current step; press Ctrl-C again to exit at once'),
      () => progress.close(),
    )
    const progress = sweepProgress(terminal)
    const result = await glueSweep(options, interrupt.signal, progress.onEvent, executor).finally(() => {
      progress.close()
      interrupt.release()
    })
    for (const line of failedRuns(result.failed)) terminal.warn(line)
    terminal.result(resultText(result, options.output), result)
    const code = interrupt.exitCode()
    if (code !== null) terminal.note('stopped; rerun the command to resume')
    return code ?? (result.failed.length > 0 ? exitCodes.failure : exitCodes.success)
  },
})

type SweepFlags = {
  readonly model: string
  readonly data: string
  readonly output: string
  readonly jobs: number | null
  readonly redis: string | null
} & { readonly [Name in keyof typeof sweepFlags]: ReturnType<(typeof sweepFlags)[Name]['parse']> } & {
  readonly [Name in keyof typeof tableFlags]: ReturnType<(typeof tableFlags)[Name]['parse']>
} & Values

/** @throws UsageError for flags that exclude each other */
const sweepOptions = (flags: SweepFlags): GlueSweepOptions => {
  const { model, data, output, jobs, methods, tasks, seeds, maxTrainSamples, score, baseline } = flags
  const sweep = sweeps.find(({ name }) => name === flags.sweep) ?? table1
  if (sweep.inTurn === true && (jobs ?? 1) !== 1)
    throw usageError('--jobs', '1 with this sweep, whose runs are timed one after another', String(jobs))
  if (methods !== null && sweep.name !== 'table1') throw usageError('--methods', 'none with this sweep, which has its own rows', sweep.name)
  return {
    sweep,
    model: absoluteModel(model),
    data: absolutePath(data),
    tasks: (tasks ?? []).map(parseTask),
    rows: methods?.map(parseRow) ?? null,
    seeds: Array.from({ length: seeds }, (_, i) => i),
    overrides: dropUndefined(Object.fromEntries(runSettings.map((name) => [name, flags[name]]))),
    maxTrainSamples,
    output: resolve(output),
    jobs: jobs ?? 1,
    reported: score,
    baseline,
    grid: parseGrid(flags),
  }
}

const parseTask = (name: string): (typeof GLUE_NAMES)[number] => {
  const task = GLUE_NAMES.find((known) => known === name)
  if (task === undefined) throw usageError('--tasks', `some of ${GLUE_NAMES.join(', ')}`, name)
  return task
}

const parseGrid = ({ grid, selectOn, learningRate }: SweepFlags): Grid | null => {
  if (selectOn !== null && grid === null) throw usageError('--select-on', '--grid beside it', 'none')
  if (grid === null) return null
  if (learningRate !== undefined) throw usageError('--learning-rate', 'either a rate or --grid', 'both')
  return { rates: grid, on: selectOn ?? 'train' }
}

/** Checks the folder before the first run; workers may see another disk. @throws InputError */
const checkData = async (data: string): Promise<void> => {
  if (isHubAddress(data)) return
  const got = await stat(data).then(
    (stats) => (stats.isDirectory() ? null : 'a file'),
    () => 'none',
  )
  if (got !== null) throw inputError(`--data ${data}`, glueFolder, got)
}

/** With --redis, workers train the runs; undefined: this process does. @throws UsageError */
const openExecutor = async (flags: SweepFlags, { sweep }: GlueSweepOptions): Promise<Executor | undefined> => {
  if (flags.redis !== null && sweep.inTurn === true)
    throw usageError('--redis', 'none with this sweep, whose runs are timed one after another', sweep.name)
  return openQueue(flags)
}

const resultText = ({ table, done, cells, failed }: GlueSweepResult, output: string): string =>
  [
    sweepMarkdown(table),
    `${done} of ${plural(cells, 'run')} done${failed.length > 0 ? `, ${failed.length} failed` : ''}; table.md, table.csv, table.tex and sweep.json are in ${output}`,
  ].join('\n')

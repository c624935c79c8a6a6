/** salora tune: a search for method, learning rate, rank and length on the user's own data. */
import { resolve } from 'node:path'
import { machineSettings, trainingSettings } from '../../accelerated/settings/commonSettings.js'
import { defaultFolds, mostFoldedRows } from '../../accelerated/settings/defaults.js'
import { methods } from '../../accelerated/methods/index.js'
import { tune, type TuneEvent, type TuneOptions, type Trial, type TuneResult } from '../../evaluation/tune/tune.js'
import {
  countFlag,
  flag,
  hidden,
  listFlag,
  parseList,
  parseNumber,
  required,
  textFlag,
  type Flag,
} from '../../finetuning/commandLine/flag.js'
import { requiredError, usageError } from '../../finetuning/commandLine/usageError.js'
import { absoluteModel, absolutePath } from '../../finetuning/run/absolutePath.js'
import { failedRuns, sweepProgress } from '../terminal/sweepProgress.js'
import { plural, duration } from '../format/numbers.js'
import { executorFlags, openQueue } from '../options/executorFlags.js'
import { dropUndefined, pickFlags } from '../options/settingFlags.js'
import { taskOptions } from '../options/taskRequest.js'
import { allTrainFlags, trainFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { toFlags } from '../../finetuning/commandLine/optionNames.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import { alignedTable } from '../../evaluation/tables/tableText.js'

/** What the search varies is no setting of every run. */
const searched = ['learningRate', 'method']
const runSettings = [...Object.keys(trainingSettings), ...Object.keys(machineSettings)].filter((name) => !searched.includes(name))

const numbersFlag = (
  placeholder: string,
  description: string,
  defaultText: string,
  { whole = false } = {},
): Flag<readonly number[] | null> =>
  flag({
    placeholder,
    description,
    defaultText,
    parse: (where, typed) => {
      if (typed === undefined) return null
      const values = parseList(where, String(typed)).map((value) => parseNumber(where, value))
      const wrong = values.find((value) => value <= 0 || (whole && !Number.isInteger(value)))
      if (wrong !== undefined) throw usageError(where, `${whole ? 'whole ' : ''}numbers above 0`, String(wrong))
      return [...new Set(values)]
    },
  })

export const tuneCommand = defineCommand({
  name: 'salora tune',
  description:
    'Search the method, learning rate, rank and length that suit your data. Every candidate trains for a short time, and the best third continues, three times as long. ' +
    'Scores are of rows that no candidate trains on. Rerunning the command resumes the search.',
  usage: '--model <folder|id> --task <name|file> --output <folder> [options]',
  looseWords: { flags: ['task', 'model'] },
  flags: {
    'Model and data': trainFlags['Model and data'],
    Search: {
      methods: listFlag('names', 'Methods to try, separated by commas', { defaultText: 'lora,salora' }),
      learningRates: numbersFlag('rates', 'Learning rates to try, separated by commas', "0.3, 1 and 3 times the method's default"),
      ranks: numbersFlag('ranks', 'Ranks to try, separated by commas; alpha is twice the rank', '8,16', { whole: true }),
      ...pickFlags(allTrainFlags, ['metricForBestModel', 'metric'], { metricForBestModel: "the task's own" }),
      folds: countFlag('n', 'Hold out each of n parts of a file in turn, and compare mean scores', {
        defaultText: `1; ${defaultFolds.value} for a sentence encoder and a file of less than ${mostFoldedRows.value} rows`,
      }),
    },
    Run: {
      output: required(textFlag('folder', 'Folder of the search: cells/ and tune.json'), 'the folder of the search'),
      ...executorFlags,
    },
    Training: pickFlags(allTrainFlags, runSettings, { epochs: 'as in salora train' }),
    Machine: pickFlags(allTrainFlags, ['offline']),
    Hidden: { samplePrompts: hidden(trainFlags.Run.samplePrompts) },
  },
  examples: [
    {
      command: 'salora tune --model FacebookAI/roberta-base --task reviews.csv --text review --label stars --output runs/tune',
      result: 'Tries 12 candidates, prints their scores on a held-out tenth, and the command that trains with the best settings.',
    },
    {
      command:
        'salora tune --model ./bert --task reviews.csv --methods lora,full --learning-rates 5e-5,2e-4,1e-3 --ranks 8 --folds 5 --output runs/tune',
      result: 'Compares five-fold means of four candidates.',
    },
  ],
  run: async (flags, terminal) => {
    const { samplePrompts } = flags as Readonly<Record<string, unknown>>
    if (typeof samplePrompts === 'string')
      throw usageError('--sample-prompts', 'none: a search prints scores (the training that it recommends takes prompts)', samplePrompts)
    const options = tuneOptions(flags)
    if (flags.redis !== null && options.metric !== undefined)
      throw usageError('--metric', 'none with --redis: a worker runs no module that a job names', options.metric)
    const executor = await openQueue(flags)
    const progress = sweepProgress(terminal)
    const interrupt = watchInterrupt(
      () => terminal.note('stopping each run after its current step; press Ctrl-C again to exit at once'),
      () => progress.close(),
    )
    const show = (event: TuneEvent): void => {
      if (event.kind === 'judges') (event.warns ? terminal.warn : terminal.note)(event.message)
      else if (event.kind === 'rung') {
        terminal.note(rungLine(event))
        progress.onEvent({ kind: 'planned', stage: 'table', cells: event.runs })
      } else progress.onEvent(event)
    }
    const result = await tune(options, interrupt.signal, show, executor).finally(() => {
      progress.close()
      interrupt.release()
    })
    const failed = result.trials.flatMap(({ name, failure }) => (failure === null ? [] : [{ cell: name, message: failure, attempts: 1 }]))
    for (const line of failedRuns(failed)) terminal.warn(line)
    const command = result.best === null ? null : trainCommand(options, result.best)
    terminal.result([...tuneTable(result), '', ...closing(result.selectedBy, command)].join('\n'), { ...result, command })
    const code = interrupt.exitCode()
    if (code !== null) terminal.note('stopped; rerun the command to resume')
    return code ?? (result.best === null ? exitCodes.failure : exitCodes.success)
  },
})

const rungLine = ({ rung, rungs, candidates, steps }: Extract<TuneEvent, { readonly kind: 'rung' }>): string =>
  `round ${rung + 1} of ${rungs}: ${plural(candidates, 'candidate')}, ${steps} steps each`

const closing = (selectedBy: string, command: string | null): readonly string[] =>
  command === null
    ? ['no candidate has a score yet']
    : [
        `* the best ${selectedBy} on held-out rows, which chose it: measure it again on data of its own (--test-data)`,
        'train with it:',
        command,
      ]

type Flags = Parameters<Parameters<typeof defineCommand>[0]['run']>[0]

/** @throws UsageError */
const tuneOptions = (flags: Flags): TuneOptions => {
  const { model, output, methods: names, learningRates, ranks, folds, jobs, metric } = flags as Readonly<Record<string, unknown>>
  if (typeof model !== 'string') throw requiredError('--model', 'a folder in Hugging Face layout, a hub id, or embedded')
  const tried = (names as readonly string[] | null) ?? ['lora', 'salora']
  const unknown = tried.find((name) => !methods.some((method) => method.name === name))
  if (unknown !== undefined) throw usageError('--methods', `some of ${methods.map(({ name }) => name).join(', ')}`, unknown)
  return {
    model: absoluteModel(model),
    task: taskOptions(flags as Readonly<Record<string, unknown>>),
    ...(typeof metric === 'string' ? { metric: absolutePath(metric) } : {}),
    output: resolve(String(output)),
    methods: [...new Set(tried)],
    learningRates: learningRates as readonly number[] | null,
    ranks: (ranks as readonly number[] | null) ?? [8, 16],
    overrides: dropUndefined(Object.fromEntries(runSettings.map((name) => [name, (flags as Readonly<Record<string, unknown>>)[name]]))),
    folds: folds as number | null,
    jobs: Number(jobs ?? 1),
  }
}

// The result of a search: every candidate with its scores, and the command that trains with the best one.
/** A row for each candidate, the best one first; a column for each number of steps. */
export const tuneTable = ({ trials, rungs, best }: TuneResult): readonly string[] => {
  const names = [...new Set([...trials].sort(byLengthAndScore).map(({ name }) => name))]
  const ordered = best === null ? names : [best.name, ...names.filter((name) => name !== best.name)]
  return alignedTable([
    ['candidate', ...rungs.map(({ steps }) => `${steps} steps`), 'time of a run'],
    ...ordered.map((name) => {
      const own = trials.filter((trial) => trial.name === name)
      const cell = (steps: number): string => {
        const trial = own.find((one) => one.steps === steps)
        if (trial === undefined) return '–'
        return `${trial.score === null ? 'failed' : trial.score.toFixed(4)}${trial === best ? ' *' : '  '}`
      }
      const seconds = own.at(-1)?.seconds ?? null
      return [name, ...rungs.map(({ steps }) => cell(steps)), seconds === null ? '–' : duration(seconds)]
    }),
  ])
}

/** Those that went furthest first, then by score; of one length, those without a score come last. */
const byLengthAndScore = (a: Trial, b: Trial): number => b.steps - a.steps || (b.score ?? -Infinity) - (a.score ?? -Infinity)

type Tuned = { readonly model: string; readonly task: TaskOptions; readonly metric?: string }

/** The command that trains with the settings of a candidate. */
export const trainCommand = ({ model, task, metric }: Tuned, { settings, steps }: Trial): string => {
  const { method, ...values } = { ...settings, maxSteps: steps }
  return ['salora', 'train', ...toFlags({ model, ...task, metric, method, ...values })].map(inShell).join(' ')
}

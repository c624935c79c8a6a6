/** salora evaluate: scores a trained adapter, or a model that classifies as it is. */
import { looksLikeFile } from '../../finetuning/data/index.js'
import { loadEvaluation, withModelTemplate, withEarlierTemplate, type Evaluation, type TaskOptions } from '../../finetuning/tasks/index.js'
import { resolveLabels } from '../../finetuning/use/attachAdapter.js'
import { loadRunEvaluation, scoreTrained, type AdapterScore } from '../../finetuning/use/scoreAdapter.js'
import { requiredError } from '../../finetuning/commandLine/usageError.js'
import { loadMetric } from '../../finetuning/metrics/metricModule.js'
import { withMetric } from '../../finetuning/tasks/chosenMetric.js'
import { readRunRows } from '../../finetuning/run/runRows.js'
import { type TrainedAdapterOptions, openModel } from '../../finetuning/use/openModel.js'
import { counted } from '../format/numbers.js'
import { adapterFlags, adapterMachineFlags, labelFlags, adapterRequest } from '../options/adapterRequest.js'
import { inheritColumns, taskFlagNames, taskOptions } from '../options/taskRequest.js'
import { pickFlags, type Values } from '../options/settingFlags.js'
import { allTrainFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { countProgress } from '../terminal/progress.js'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { alignedTable } from '../../evaluation/tables/tableText.js'

// An evaluation as text: scores, precision, recall and F1 by class, and the confusion matrix.
/** Classes whose confusion matrix fits on a screen; --json has larger ones. */
const widestMatrix = 12

export const scoreLines = ({ scores, tokens, majority, positive, byClass, confusion }: AdapterScore): readonly string[] => [
  ...Object.entries(scores).map(([name, value]) => `${name.padEnd(nameWidth(scores))}${value.toFixed(4)}`),
  ...(tokens === undefined ? [] : [`tokens      ${counted(tokens)}`]),
  ...(positive === null ? [] : [`f1 is for the class "${oneLine(positive)}"`]),
  ...(majority === null ? [] : [`always predicting "${oneLine(majority.label)}" has accuracy ${majority.share.toFixed(4)}`]),
  ...(byClass === null ? [] : ['', ...classTable(byClass)]),
  ...(byClass === null || confusion === null || confusion.length > widestMatrix
    ? []
    : [
        '',
        ...confusionTable(
          byClass.map(({ label }) => label),
          confusion,
        ),
      ]),
]

const nameWidth = (scores: AdapterScore['scores']): number => Math.max(12, ...Object.keys(scores).map((name) => name.length + 2))

/** A class that is neither labeled nor predicted has F1 0, as in macroF1. */
const classTable = (byClass: NonNullable<AdapterScore['byClass']>): readonly string[] =>
  alignedTable([
    ['class', 'precision', 'recall', 'f1', 'examples'],
    ...byClass.map(({ label, precision, recall, f1, examples }) => [
      name(label),
      ...[precision, recall, f1].map((share) => share.toFixed(4)),
      counted(examples),
    ]),
  ])

const confusionTable = (labels: readonly string[], confusion: NonNullable<AdapterScore['confusion']>): readonly string[] =>
  alignedTable([['label, predicted as', ...labels.map(name)], ...confusion.map((row, i) => [name(labels[i] ?? ''), ...row.map(counted)])])

/** At most 24 characters of a name. */
const name = (label: string): string => (oneLine(label).length > 24 ? `${oneLine(label).slice(0, 23)}…` : oneLine(label))

export const evaluate = defineCommand({
  name: 'salora evaluate',
  description:
    'Score a trained adapter, or with --model alone a classifier. A run is scored on its own evaluation data unless --eval-data or --task names other data; a file named by --task is scored whole.',
  looseWords: { flags: ['run', 'evalData'] },
  flags: {
    Model: { ...adapterFlags, ...labelFlags },
    Data: pickFlags(allTrainFlags, [...taskFlagNames, 'metric']),
    Machine: adapterMachineFlags(['device', 'precision', 'threads', 'maxLength', 'batchSize']),
  },
  examples: [
    {
      command: 'salora evaluate --run runs/sst2-salora-1',
      result: 'Prints each metric, precision, recall and F1 by class, and the confusion matrix.',
    },
    {
      command: 'salora evaluate --model FacebookAI/roberta-base --adapter ./adapter --task rte --data glue',
      result: 'Scores a PEFT adapter on the dev file of RTE.',
    },
  ],
  run: async (flags, terminal) => {
    const { adapter: options, runTask } = await adapterRequest(flags)
    const rows = options.trainedBy === undefined ? null : await readRunRows(options.trainedBy.run)
    const data = requestedData(flags, runTask)
    terminal.note(`loading ${options.adapter ?? options.model} …`)
    const { trained, device } = await openModel(options)
    const task = await withTemplate(data.task, runTask, trained.base.folder)
    const read = await labeledData({ ...data, task }, resolveLabels(trained), rows, options)
    const labeled = typeof flags['metric'] === 'string' ? withMetric(read, await loadMetric(flags['metric']), true) : read
    labeled.evaluation.notes?.forEach(terminal.note)
    labeled.evaluation.warnings?.forEach(terminal.warn)
    if (labeled.warning !== null) terminal.warn(labeled.warning)
    const total = labeled.evaluation.examples.length
    terminal.note(`evaluating ${counted(total)} examples on ${device.name} …`)
    const began = performance.now()
    const progress = countProgress('evaluating', total, terminal)
    const scoring = { rows, onProgress: progress.show, onWarning: terminal.warn }
    const scored = await scoreTrained(trained, labeled, options, device, scoring).finally(progress.close)
    if (scored.constant !== null) terminal.warn(`every example is predicted as ${scored.constant}`)
    const isHeldOut = !data.isWhole && rows?.heldOut === true
    terminal.result(resultText(scored, isHeldOut), {
      ...scored,
      adapter: options.adapter,
      model: options.model,
      device: device.name,
      seconds: (performance.now() - began) / 1000,
    })
    return exitCodes.success
  },
})

/** Data of other files is framed as the run framed its own; without a run, as the model does. */
const withTemplate = (task: TaskOptions, runTask: TaskOptions | null, folder: string): Promise<TaskOptions> | TaskOptions =>
  runTask === null ? withModelTemplate(task, folder) : withEarlierTemplate(runTask, task)

type Rows = Awaited<ReturnType<typeof readRunRows>> | null
type RequestedData = { readonly task: TaskOptions; readonly isWhole: boolean }

/** `isWhole`: all of the named data, not only the part that a run held out. @throws UsageError */
const requestedData = (flags: Values, runTask: TaskOptions | null): RequestedData => {
  const given = Object.fromEntries(taskFlagNames.filter((name) => flags[name] !== undefined).map((name) => [name, flags[name]]))
  const { task: file } = given
  if (typeof file === 'string')
    return { task: taskOptions(looksLikeFile(file) ? { ...inheritColumns(runTask, file), ...given } : given), isWhole: true }
  if (runTask === null) throw requiredError('--task', 'the name of a task or a file of examples')
  return { task: taskOptions({ ...runTask, ...given }), isWhole: given['evalData'] !== undefined }
}

const labeledData = async (
  { task, isWhole }: RequestedData,
  labelNames: readonly string[] | undefined,
  rows: Rows,
  { trainedBy }: TrainedAdapterOptions,
): Promise<Evaluation & { readonly warning: string | null }> => {
  if (isWhole) return { ...(await loadEvaluation(labelNames === undefined ? task : { ...task, labelNames })), warning: null }
  return loadRunEvaluation(task, rows === null ? null : { rows, digest: trainedBy?.inputs['evaluation rows'] })
}

const resultText = (scored: AdapterScore, isHeldOut: boolean): string => {
  const { examples, source, trainedOn, byClass } = scored
  return [
    ...scoreLines(scored),
    ...(trainedOn === null || trainedOn === 0
      ? []
      : [`the run trained on ${counted(trainedOn)} of these ${counted(examples)} texts, so these scores say little about new ones`]),
    ...(byClass === null ? [] : ['']),
    `${counted(examples)} examples of ${source}${isHeldOut && trainedOn !== examples ? ' (the held-out part)' : ''}`,
  ].join('\n')
}

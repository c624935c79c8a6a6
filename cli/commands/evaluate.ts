/** salora evaluate: scores a trained adapter, or a model that classifies as it is. */
import type { Command } from 'commander'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import { resolveLabels } from '../../finetuning/adapters/labelNames.js'
import { evaluationOfRun } from '../../finetuning/adapters/runEvaluation.js'
import { scoreTrained } from '../../finetuning/adapters/scoreAdapter.js'
import { loadTrainedModel } from '../../finetuning/adapters/trainedModel.js'
import { loadEvaluation } from '../../finetuning/tasks/index.js'
import { readRunRows } from '../../finetuning/runs/runRows.js'
import { addAdapterFlags, adapterRequest } from '../options/adapterRequest.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { flagValues, type Values } from '../options/flagValues.js'
import { counted } from '../format/numbers.js'
import { countProgress } from '../terminal/progress.js'
import { scoreText } from '../format/scores.js'
import { addFlags } from '../options/trainFlags.js'
import { taskFlagNames, taskOptions } from '../options/trainRequest.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export const addEvaluate = (command: Command): void => {
  command.description(
    'Scores a trained adapter or, with --model alone, a classifier as it is. Of a run, on what the run evaluated on unless --eval-data or another --task is given; a file given as --task is scored whole. ' +
      'Of a file, that part is the rows that the run held out, though the file has grown since. How many texts the run trained on is told.\n' +
      'Prints each metric, of classes also a report class by class and the confusion matrix; F1 is of the class that --positive-label names.',
  )
  addAdapterFlags(command)
  addFlags(command, taskFlagNames)
  withOutput(
    command,
    [
      'salora evaluate --run runs/sst2-salora-1',
      'salora evaluate --model FacebookAI/roberta-base --adapter ./adapter --task rte --data glue',
      'salora evaluate --model exported/reviews --task reviews.csv',
      'salora evaluate --run runs/yelp-full-1 --eval-data test',
    ],
    async (given, terminal) => {
      const { adapter: options, runTask } = await adapterRequest(given)
      const rows = options.trainedBy === undefined ? null : await readRunRows(options.trainedBy.run)
      const wanted = dataWanted(given, runTask)
      terminal.note(`opening ${options.adapter ?? options.model} …`)
      const device = await chooseDevice(options.device)
      const trained = await loadTrainedModel(options)
      const names = resolveLabels(trained)
      const remembered = rows === null ? null : { rows, digest: options.trainedBy?.inputs['evaluation rows'] }
      const labeled = wanted.whole
        ? { ...(await loadEvaluation(names === undefined ? wanted.task : { ...wanted.task, labelNames: names })), warning: null }
        : await evaluationOfRun(wanted.task, remembered)
      if (labeled.warning !== null) terminal.warn(labeled.warning)
      const { evaluation } = labeled
      terminal.note(`${counted(evaluation.examples.length)} examples on ${device.name} …`)
      const began = performance.now()
      const progress = countProgress('evaluating', evaluation.examples.length, terminal)
      const scoring = { rows, onProgress: progress.show }
      const scored = await scoreTrained(trained, labeled, options, device, scoring).finally(progress.close)
      if (scored.constant !== null) terminal.warn(`every example is predicted as ${scored.constant}`)
      const { examples, source, trainedOn } = scored
      terminal.result(
        [
          ...scoreText(scored),
          ...(trainedOn === null || trainedOn === 0
            ? []
            : [`the run trained on ${counted(trainedOn)} of these ${counted(examples)} texts: their score says little of new ones`]),
          ...(scored.byClass === null ? [] : ['']),
          `${counted(examples)} examples of ${source}${!wanted.whole && rows?.heldOut === true ? ' (the part that the run held out)' : ''}`,
        ].join('\n'),
        {
          ...scored,
          adapter: options.adapter,
          model: options.model,
          device: device.name,
          seconds: (performance.now() - began) / 1000,
        },
      )
      return exitCodes.success
    },
  )
}

/** `whole`: all of the data named, as opposed to the part that a run held out. */
const dataWanted = (given: Values, runTask: TaskOptions | null): { readonly task: TaskOptions; readonly whole: boolean } => {
  const flags = Object.fromEntries(Object.entries(flagValues(given)).filter(([name]) => taskFlagNames.includes(name)))
  if (runTask === null && flags['task'] === undefined) throw usageError('--task', 'the name of a task or a file of examples', 'none given')
  if (flags['task'] !== undefined) return { task: taskOptions(flags), whole: true }
  return { task: taskOptions({ ...runTask, ...flags }), whole: flags['evalData'] !== undefined }
}

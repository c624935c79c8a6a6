/** salora evaluate: scores a trained adapter, or a model that classifies as it is. */
import type { Command } from 'commander'
import type { TaskOptions } from '../../evaluation/data/index.js'
import { evaluationOf, evaluationOfRun, scoreAdapter } from '../../evaluation/scoreAdapter.js'
import { readRunRows } from '../../evaluation/runRows.js'
import { openTrainedAdapter } from '../../evaluation/trainedAdapter.js'
import { addAdapterFlags, adapterRequest } from '../adapterRequest.js'
import { withOutput } from '../command.js'
import { exitCodes } from '../exitCodes.js'
import { flagValues, type Values } from '../flagValues.js'
import { counted } from '../numbers.js'
import { countProgress } from '../progress.js'
import { scoreText } from '../scoreText.js'
import { addFlags } from '../trainFlags.js'
import { taskFlagNames, taskOptions } from '../trainRequest.js'
import { usageError } from '../usageError.js'

export const addEvaluate = (command: Command): void => {
  command.description(
    'Scores a trained adapter or, with --model alone, a classifier as it is. Of a run, on what the run evaluated on unless --eval-data or another --task is given; a file given as --task is scored whole.\n' +
      'Of a file, that part is the rows that the run held out, though the file has grown since. How many texts the run trained on is told.\n' +
      'Prints each metric, of classes also a report class by class and the confusion matrix; F1 is of the class that --positive names.',
  )
  addAdapterFlags(command)
  addFlags(command, taskFlagNames)
  withOutput(
    command,
    [
      'salora evaluate --run runs/sst2-salora-1',
      'salora evaluate --model FacebookAI/roberta-base --adapter ./adapter --task rte --data glue',
      'salora evaluate --model exported/reviews --task reviews.csv',
    ],
    async (given, terminal) => {
      const { adapter: options, runTask } = await adapterRequest(given)
      const runRows = options.trainedBy === undefined ? null : await readRunRows(options.trainedBy.run)
      const wanted = dataWanted(given, runTask)
      terminal.note(`opening ${options.adapter ?? options.model} …`)
      const adapter = await openTrainedAdapter(options)
      try {
        const names = adapter.labelNames
        const remembered = runRows === null ? null : { rows: runRows, digest: options.trainedBy?.inputs['evaluation rows'] }
        const labelled = wanted.whole
          ? { ...(await evaluationOf(names === undefined ? wanted.task : { ...wanted.task, labelNames: names })), warning: null }
          : await evaluationOfRun(wanted.task, remembered)
        if (labelled.warning !== null) terminal.warn(labelled.warning)
        terminal.note(`${counted(labelled.evaluation.examples.length)} examples on ${adapter.device} …`)
        const began = performance.now()
        const progress = countProgress('evaluating', labelled.evaluation.examples.length, terminal)
        const scored = await scoreAdapter(adapter, labelled, { rows: runRows, told: progress.show }).finally(progress.close)
        if (scored.constant !== null) terminal.warn(`every example is predicted as ${scored.constant}`)
        const { examples, source, trainedOn } = scored
        terminal.result(
          [
            ...scoreText(scored),
            ...(trainedOn === null || trainedOn === 0
              ? []
              : [`the run trained on ${counted(trainedOn)} of these ${counted(examples)} texts: their score says little of new ones`]),
            ...(scored.byClass === null ? [] : ['']),
            `${counted(examples)} examples of ${source}${wanted.whole || wanted.task.evalData !== undefined || !source.includes('.') ? '' : ' (the part that the run held out)'}`,
          ].join('\n'),
          {
            ...scored,
            adapter: options.adapter,
            model: options.model,
            device: adapter.device,
            seconds: (performance.now() - began) / 1000,
          },
        )
        return exitCodes.success
      } finally {
        await adapter.release()
      }
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

/** salora evaluate: scores a trained adapter. */
import type { Command } from 'commander'
import type { TaskOptions } from '../../evaluation/data/index.js'
import { evaluationOf, evaluationOfRun, scoreAdapter } from '../../evaluation/scoreAdapter.js'
import { openTrainedAdapter } from '../../evaluation/trainedAdapter.js'
import { addAdapterFlags, adapterRequest } from '../adapterRequest.js'
import { withOutput } from '../command.js'
import { exitCodes } from '../exitCodes.js'
import { flagValues, type Values } from '../flagValues.js'
import { counted } from '../numbers.js'
import { countProgress } from '../progress.js'
import { addFlags } from '../trainFlags.js'
import { taskFlagNames, taskOptions } from '../trainRequest.js'
import { usageError } from '../usageError.js'

export const addEvaluate = (program: Command): void => {
  const command = program
    .command('evaluate')
    .summary('scores a trained adapter')
    .description(
      'Scores a trained adapter. Of a run, on what the run evaluated on unless --eval-data or another --task is given; a file given as --task is scored whole.',
    )
  addAdapterFlags(command)
  addFlags(command, taskFlagNames)
  withOutput(
    command,
    [
      'salora evaluate --run runs/sst2-salora-1',
      'salora evaluate --model FacebookAI/roberta-base --adapter ./adapter --task rte --data glue',
    ],
    async (given, terminal) => {
      const { adapter: options, runTask } = await adapterRequest(given)
      const wanted = dataWanted(given, runTask)
      terminal.note(`opening ${options.adapter} …`)
      const adapter = await openTrainedAdapter(options)
      try {
        const names = adapter.labelNames
        const labelled = wanted.whole
          ? evaluationOf(names === undefined ? wanted.task : { ...wanted.task, labelNames: names })
          : evaluationOfRun(wanted.task)
        terminal.note(`${counted(labelled.evaluation.examples.length)} examples on ${adapter.device} …`)
        const began = performance.now()
        const progress = countProgress('evaluating', labelled.evaluation.examples.length, terminal)
        const scored = await scoreAdapter(adapter, labelled, progress.show).finally(progress.close)
        if (scored.constant !== null) terminal.warn(`every example is predicted as ${scored.constant}`)
        const { scores, majority, examples, source } = scored
        terminal.result(
          [
            ...Object.entries(scores).map(([name, value]) => `${name.padEnd(10)}${value.toFixed(4)}`),
            ...(majority === null ? [] : [`always answering "${majority.label}" scores accuracy ${majority.share.toFixed(4)}`]),
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

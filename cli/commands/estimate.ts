/** salora estimate: the memory that a run will need. */
import type { Command } from 'commander'
import { machineSettings } from '../../accelerated/settings/commonSettings.js'
import { methods } from '../../accelerated/methods/index.js'
import type { Method } from '../../accelerated/methods/method.js'
import { placed } from '../../finetuning/runs/absolutePath.js'
import { estimateRun } from '../../finetuning/runs/estimate.js'
import { withOffline, withOutput } from '../terminal/command.js'
import { estimateText, estimateWarning } from '../format/estimate.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { flagValues, numberOf } from '../options/flagValues.js'
import { addFlags } from '../options/trainFlags.js'
import { settingsOf } from '../options/trainRequest.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

/** Of `train`'s flags, those that its memory follows from: batches, model, method and machine. */
const ofBatches = ['batchSize', 'gradientAccumulationSteps', 'maxLength', 'dropout']
const names = (): ReadonlyArray<string> => [
  'model',
  'method',
  ...(methods as ReadonlyArray<Method>).flatMap(({ settings }) => Object.keys(settings)),
  ...ofBatches,
  ...Object.keys(machineSettings),
]

export const addEstimate = (command: Command): void => {
  command.description(
    "Says what memory a run with these flags needs at its peak, and what for, without training: the graph of a step is walked in the order in which it runs, and its values go through a copy of the runtime's own allocator.\n" +
      'Every example counts as one of --max-length tokens. The numbers are those of the CPU.',
  )
  withOffline(addFlags(command, names())).option(
    '--labels <n>',
    'classes of the task (default: the next token of a decoder that is for it, else 2)',
  )
  withOutput(
    command,
    [
      'salora estimate --model FacebookAI/roberta-base --method lora --batch-size 64 --max-length 512',
      'salora estimate --model ./llama --precision int8 --gradient-checkpointing --json',
    ],
    async (given, terminal) => {
      const { model, ...flags } = flagValues(given)
      if (typeof model !== 'string') throw usageError('--model', 'a folder in Hugging Face layout or a hub id', 'none given')
      const labels = given['labels'] === undefined ? null : labelsOf(String(given['labels']))
      const settings = settingsOf(flags)
      const estimate = await estimateRun({ model: placed(model), settings, labels })
      const warning = estimateWarning(estimate)
      if (warning !== null) terminal.warn(warning)
      const { method, precision, batchSize, maxLength, gradientCheckpointing } = settings
      terminal.result(estimateText(estimate), { model, method, precision, batchSize, maxLength, gradientCheckpointing, ...estimate })
      return exitCodes.success
    },
  )
}

const labelsOf = (given: string): number => {
  const labels = numberOf('--labels', given)
  if (!Number.isInteger(labels) || labels < 1 || labels > 100_000)
    throw usageError('--labels', 'a whole number from 1 to 100000', String(labels))
  return labels
}

/** salora estimate: the memory that a run will need. */
import { machineSettings } from '../../accelerated/settings/commonSettings.js'
import { methods } from '../../accelerated/methods/index.js'
import type { Method } from '../../accelerated/methods/method.js'
import { countFlag, required, type FlagGroups } from '../../finetuning/commandLine/flag.js'
import { absoluteModel } from '../../finetuning/run/absolutePath.js'
import { estimateRun } from '../../finetuning/run/estimateRun.js'
import { estimateTable, estimateWarning } from '../format/estimate.js'
import { readSamplePrompts } from '../input/promptInput.js'
import { resolveFlags } from '../options/precedence.js'
import { dropUndefined } from '../options/settingFlags.js'
import { trainFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'

/** The flags of `train` that memory depends on. */
const names: readonly string[] = [
  'method',
  ...(methods as readonly Method[]).flatMap(({ settings }) => Object.keys(settings)),
  'batchSize',
  'gradientAccumulationSteps',
  'maxLength',
  'dropout',
  ...Object.keys(machineSettings),
  'offline',
]

const trainingFlags: FlagGroups = Object.fromEntries(
  Object.entries(trainFlags as FlagGroups).flatMap(([heading, table]) => {
    const own = Object.entries(table).filter(([name]) => names.includes(name))
    return own.length === 0 ? [] : [[heading, Object.fromEntries(own)]]
  }),
)

export const estimate = defineCommand({
  name: 'salora estimate',
  description:
    'Estimate the peak memory of a CPU run with these settings, without training. Every example and every sample prompt counts as one of --max-length tokens.',
  looseWords: { flags: ['model'] },
  flags: {
    'Model and data': {
      model: required(trainFlags['Model and data'].model, 'a folder in Hugging Face layout, a hub id, or embedded'),
      labels: countFlag('n', 'Number of classes', { to: 100_000, defaultText: '2; a decoder predicts the next token' }),
      samplePrompts: trainFlags.Run.samplePrompts,
    },
    ...trainingFlags,
  },
  examples: [
    {
      command: 'salora estimate --model FacebookAI/roberta-base --method lora --batch-size 64 --max-length 512',
      result: 'Prints the peak and its parts: weights, activations, state, evaluation, graphs.',
    },
  ],
  run: async ({ model, labels, samplePrompts, ...flags }, terminal) => {
    const settings = resolveFlags(dropUndefined(flags))
    const prompts = typeof samplePrompts === 'string' ? (await readSamplePrompts(samplePrompts)).length : 0
    const estimated = await estimateRun({
      ...{ model: absoluteModel(String(model)), settings, labels: labels as number | null },
      samplePrompts: prompts,
    })
    const warning = estimateWarning(estimated)
    if (warning !== null) terminal.warn(warning)
    const { method, precision, batchSize, maxLength, gradientCheckpointing } = settings
    terminal.result(estimateTable(estimated), { model, method, precision, batchSize, maxLength, gradientCheckpointing, ...estimated })
    return exitCodes.success
  },
})

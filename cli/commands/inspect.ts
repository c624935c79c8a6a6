/** salora inspect: facts about data, and what probably is a mistake in it, before a run. */
import { trainingSettings } from '../../accelerated/settings/commonSettings.js'
import { advanced, countFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { requiredError, usageError } from '../../finetuning/commandLine/usageError.js'
import { contentExtension } from '../../finetuning/data/formats.js'
import { absoluteModel } from '../../finetuning/run/absolutePath.js'
import { inspectData } from '../../finetuning/inspection/inspectData.js'
import { inspectLabels } from '../../finetuning/use/runLabels.js'
import { taskNames } from '../../finetuning/tasks/index.js'
import { inspectionText, runLabelsText } from '../format/inspection.js'
import { resolveFlags } from '../options/precedence.js'
import { dropUndefined, pickFlags, settingFlags, type Values } from '../options/settingFlags.js'
import { taskFlagNames, taskOptions } from '../options/taskRequest.js'
import { allTrainFlags, offlineFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'

const { maxLength, classWeights } = trainingSettings

export const inspect = defineCommand({
  name: 'salora inspect',
  description:
    'Look at data before training on it: rows, classes, duplicates, suspicious labels, lengths, and texts that would be truncated. ' +
    'With --model, lengths are tokens, and the first examples for a decoder are shown token by token; without it, lengths are words.',
  usage: '<file> | --task <name|file> | --run <folder> [options]',
  arguments: [{ name: 'file', description: 'Data file, as for --task; a .txt file is text for a decoder' }],
  flags: {
    Data: pickFlags(allTrainFlags, ['model', ...taskFlagNames, 'testData']),
    Run: { run: textFlag('folder', 'Run whose evaluation rows are searched for labels that may be wrong, instead of data') },
    Examples: {
      examples: countFlag('n', "First examples that are shown token by token, with --model and a decoder's data", {
        from: 0,
        to: 20,
        default: 2,
      }),
    },
    Training: {
      ...settingFlags({ maxLength, classWeights }),
      metricForBestModel: advanced(pickFlags(allTrainFlags, ['metricForBestModel']).metricForBestModel),
    },
    Machine: offlineFlags,
  },
  examples: [
    {
      command: 'salora inspect reviews.csv --text review --label stars',
      result: 'Prints the classes with their counts, duplicates, lengths in words, and findings with their remedies.',
    },
    {
      command: 'salora inspect --run runs/reviews',
      result: 'Lists the evaluation rows whose labels may be wrong, since the model is sure of another class.',
    },
    {
      command: 'salora inspect --task alpaca --data chats.jsonl --model ./llama --max-length 512',
      result: 'Prints how many conversations have more than 512 tokens, and the first two token by token, with the learned tokens marked.',
    },
  ],
  run: async ({ run, ...flags }, terminal, [file]) => {
    const { model, maxLength: most, classWeights: weights, examples, ...others } = dropUndefined(flags) as Values
    if (run !== null) {
      if (file !== undefined || others['task'] !== undefined) throw usageError('--run', 'a run or a data file', 'both')
      const labels = await inspectLabels(run)
      terminal.result(runLabelsText(labels), labels)
      return exitCodes.success
    }
    const settings = resolveFlags(dropUndefined({ maxLength: most, classWeights: weights }))
    const inspected = await inspectData({
      task: taskOptions(withFile(others, file)),
      ...(model === undefined ? {} : { model: absoluteModel(String(model)) }),
      maxLength: settings.maxLength,
      classWeights: settings.classWeights,
      examples: Number(examples),
    })
    terminal.result(inspectionText(inspected, terminal), inspected)
    return exitCodes.success
  },
})

/** The file is the task, or the data of a task that has a name. @throws UsageError */
const withFile = (values: Values, file: string | undefined): Values => {
  const { task, data } = values
  if (file === undefined) {
    if (task === undefined) throw requiredError('FILE', 'a data file (or --task)')
    return values
  }
  if (task === undefined) return contentExtension(file) === '.txt' ? { ...values, task: 'text', data: file } : { ...values, task: file }
  if (data === undefined && taskNames.includes(String(task))) return { ...values, data: file }
  throw usageError('--task', 'either a file or --task', 'both')
}

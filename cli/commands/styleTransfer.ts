/** salora style-transfer: sentences rewritten in another style by a decoder or another system, scored next to the paper's rows. */
import { basename, join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { promptTemplates, parseTemplate } from '../../finetuning/data/promptTemplates.js'
import { transferDatasets } from '../../evaluation/styleTransfer/datasets.js'
import { styleTransfer } from '../../evaluation/styleTransfer/styleTransfer.js'
import type { StyleTransferResult, TransferSource } from '../../evaluation/styleTransfer/transfers.js'
import { markdownTable } from '../../evaluation/styleTransfer/transferTable.js'
import { choiceFlag, countFlag, required, severalFlag, switchFlag, textFlag, type Flag } from '../../finetuning/commandLine/flag.js'
import { requiredError, usageError } from '../../finetuning/commandLine/usageError.js'
import { duration, plural } from '../format/numbers.js'
import { transferExamplesPage } from '../../reporting/report/reportTables.js'
import { adapterFlags, adapterMachineFlags, adapterRequest } from '../options/adapterRequest.js'
import { generationFlags, generationRequest } from '../options/generationRequest.js'
import { nextRunFolder } from '../options/nextRunName.js'
import { pickFlags, type Values } from '../options/settingFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import type { Terminal } from '../terminal/output.js'
import { countProgress } from '../terminal/progress.js'

const machineNames = ['device', 'precision', 'threads'] as const
const generationNames = ['maxNewTokens', 'numBeams', 'lengthPenalty', 'repetitionPenalty', 'batchSize'] as const
const names = transferDatasets.map(({ name }) => name)

/** Two files, of style 0 and of style 1. */
const pairFlag = (description: string, defaultText?: string): Flag<readonly [string, string] | null> => {
  const files = severalFlag('files', description, defaultText === undefined ? {} : { defaultText })
  return {
    ...files,
    parse: (where, typed) => {
      const given = files.parse(where, typed)
      if (given === null) return null
      const [first, second, ...more] = given
      if (first === undefined || second === undefined || more.length > 0)
        throw usageError(where, 'two files, of style 0 and of style 1', plural(given.length, 'file'))
      return [first, second]
    },
  }
}

const sourceFlags = {
  ...adapterFlags,
  outputs: pairFlag('Two files of transfers by another system, from style 0 and from style 1, one tokenized sentence per line'),
  normalizeOutputs: switchFlag('Lowercase and tokenize --outputs as the output of a decoder (NLTK)'),
} as const

export const styleTransferCommand = defineCommand({
  name: 'salora style-transfer',
  description:
    'Transfer the test sentences of two styles with a decoder, each into the other style. Score them by ACC, BLEU and PPL (Table 2 of the paper). --outputs scores the sentences of another system. Rerunning with the same --output resumes.',
  flags: {
    Data: {
      dataset: required(choiceFlag(names, 'name', `Dataset: ${names.join(' or ')}`), names.join(' or ')),
      data: required(
        textFlag('folder', `Folder of the dataset; ${transferDatasets.map(({ name, layout }) => `${name}: ${layout}`).join('; ')}`),
        'the folder of the test sentences',
      ),
      limit: countFlag('n', 'Use only the first n sentences of each direction', { defaultText: 'all' }),
    },
    'Model or outputs': sourceFlags,
    Scores: {
      classifier: textFlag('folder', 'Run of salora train --preset tsst-classifier on this dataset; without it there is no ACC'),
      languageModels: pairFlag('Two n-gram models, of style 0 and of style 1', 'order 5, trained on the training sentences'),
      name: textFlag('text', 'Name of the row in the table', { defaultText: 'that of the run, the model or the first file' }),
      output: textFlag('folder', 'Folder for transfers, table.md, table.csv, table.tex, examples.html and result.json', {
        defaultText: 'a new folder in runs; none with --outputs',
      }),
    },
    Generation: {
      promptTemplate: choiceFlag(promptTemplates, 'name', `Prompt template: ${promptTemplates.join(', ')}`, {
        defaultText: "the run's; without a run paper",
      }),
      // without sampling, so that a resumed transfer gives the same text
      ...pickFlags(generationFlags, generationNames),
    },
    Machine: adapterMachineFlags(machineNames),
  },
  examples: [
    {
      command:
        'salora style-transfer --dataset yelp --data yelp --run runs/alpaca-salora-1 --classifier runs/yelp-full-1 --output transfers',
      result: "Writes the transfers and a table next to the paper's rows.",
    },
    {
      command: 'salora style-transfer --dataset yelp --data yelp --outputs neg2pos.txt pos2neg.txt --json',
      result: 'Scores two files, and prints the table as JSON.',
    },
  ],
  run: async (flags, terminal) => {
    const dataset = transferDatasets.find(({ name }) => name === flags.dataset)
    if (dataset === undefined) throw requiredError('--dataset', names.join(' or '))
    const { source, defaultName } = await openSource(flags)
    const output = flags.output ?? ('files' in source ? null : await nextRunFolder(dataset.name, 'transfer'))
    if (output !== null && !('files' in source)) terminal.note(`writing transfers to ${output}`)
    const { data, limit, classifier, languageModels } = flags
    const options = { dataset, data, limit, source, name: flags.name ?? defaultName, classifier, languageModels, output }
    const code = await transfer(options, terminal)
    if (code !== null && output !== null) terminal.note(`stopped; rerun the command with --output ${output} to resume`)
    return code ?? exitCodes.success
  },
})

/** @returns the exit code of a signal; null without one */
const transfer = async (options: Parameters<typeof styleTransfer>[0], terminal: Terminal): Promise<number | null> => {
  const interrupt = watchInterrupt(
    () => terminal.note('stopping after these sentences; press Ctrl-C again to exit at once'),
    () => undefined,
  )
  const show = makeProgressBars(terminal)
  try {
    for await (const event of styleTransfer(options, interrupt.signal)) {
      if (event.kind === 'preparing') terminal.note(`${event.what} …`)
      else if (event.kind === 'transferring') show(event.direction, event.done, event.of)
      else {
        const { output } = options
        if (output !== null) await writeFileAtomically(join(output, 'examples.html'), transferExamplesPage(event.examples))
        warnAboutEmpty(event.result, terminal)
        terminal.result(resultText(event.result, output), event.result)
      }
    }
  } finally {
    show.close()
    interrupt.release()
  }
  return interrupt.exitCode()
}

type SourceFlags = { readonly [Name in keyof typeof sourceFlags]: ReturnType<(typeof sourceFlags)[Name]['parse']> } & {
  readonly promptTemplate: (typeof promptTemplates)[number] | null
} & Values

/** The transfers to score, and their name in the table if --name is absent. @throws UsageError */
const openSource = async (flags: SourceFlags): Promise<{ readonly source: TransferSource; readonly defaultName: string }> => {
  const { run, model, adapter, outputs: files, normalizeOutputs, promptTemplate, device, precision, threads } = flags
  if (files !== null) {
    const ofModel = ['run', 'model', 'adapter', 'promptTemplate', ...machineNames, ...generationNames].map((name) => flags[name])
    if (ofModel.some((value) => value !== undefined && value !== null)) throw usageError('--outputs', 'either a model or --outputs', 'both')
    return { source: { files, normalize: normalizeOutputs }, defaultName: basename(files[0]) }
  }
  if (normalizeOutputs) throw usageError('--normalize-outputs', '--outputs beside it', 'none')
  if ([run, model, adapter].every((name) => typeof name !== 'string'))
    throw requiredError('--run', 'the folder of a run (or --model, or --outputs)')
  const { adapter: generator, runTask } = await adapterRequest({ run, model, adapter, device, precision, threads })
  return {
    source: { generator, template: promptTemplate ?? parseTemplate(runTask ?? {}), generation: generationRequest(flags) },
    defaultName: basename(String(run ?? adapter ?? model)),
  }
}

const makeProgressBars = (terminal: Terminal) => {
  const bars = new Map<string, ReturnType<typeof countProgress>>()
  const close = (): void => {
    for (const bar of bars.values()) bar.close()
  }
  const show = (direction: string, done: number, of: number): void => {
    if (!bars.has(direction)) {
      close()
      bars.set(direction, countProgress(direction, of, terminal))
    }
    if (done > 0) bars.get(direction)?.show(done)
  }
  return Object.assign(show, { close })
}

const warnAboutEmpty = ({ directions }: StyleTransferResult, terminal: Terminal): void => {
  for (const [direction, { empty, lines }] of Object.entries(directions))
    if (empty > 0) terminal.warn(`${direction}: ${empty} of ${plural(lines, 'output')} empty, scored as empty`)
}

const resultText = ({ table, classifier, languageModels, seconds }: StyleTransferResult, output: string | null): string =>
  [
    markdownTable(table),
    classifier === null
      ? 'ACC: not scored (needs --classifier)'
      : `ACC: ${classifier.name}, whose accuracy is ${Object.entries(classifier.accuracy)
          .map(([style, accuracy]) => `${accuracy.toFixed(1)} % on the ${style} sources`)
          .join(' and ')}`,
    'BLEU: against the human rewrites, words split at spaces, no smoothing',
    `PPL: ${languageModels.join('; ')}`,
    "the paper's rows are published numbers; its LLaMA-7B without an adapter copies the input",
    `transfers took ${duration(seconds.transferring)}, scores ${duration(seconds.scoring)}${output === null ? '' : `; table.md, table.csv, table.tex, examples.html and result.json are in ${output}`}`,
  ].join('\n')

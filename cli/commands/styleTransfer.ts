/** salora style-transfer: sentences rewritten in another style by a decoder, or by others, scored by three metrics beside the paper's rows. */
import { basename, join } from 'node:path'
import type { Command } from 'commander'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { promptTemplates, templateOf } from '../../finetuning/data/promptTemplates.js'
import { transferDatasets } from '../../evaluation/styleTransfer/index.js'
import { styleTransfer, type StyleTransferResult, type TransferSource } from '../../evaluation/styleTransfer/styleTransfer.js'
import { markdownTable } from '../../evaluation/styleTransfer/transferTable.js'
import { transferExamplesPage } from '../../reporting/report/transferExamplesPage.js'
import { adapterRequest, addModelFlags } from '../options/adapterRequest.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { choiceOf, numberOf, type Values } from '../options/flagValues.js'
import { nextRunFolder } from '../options/nextRunName.js'
import { addGenerationFlags, generationRequest } from '../options/generateFlags.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { duration, plural } from '../format/numbers.js'
import { countProgress } from '../terminal/progress.js'
import type { Terminal } from '../terminal/output.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

const machine = ['device', 'precision', 'threads']
/** Transfers are the likeliest text, as the paper's: nothing is drawn, so that a run that goes on writes what it would have written. */
const generation = ['maxNewTokens', 'numBeams', 'lengthPenalty', 'repetitionPenalty', 'batchSize']
const names = transferDatasets.map(({ name }) => name)

export const addStyleTransfer = (command: Command): void => {
  command.description(
    'Table 2 of the paper: a decoder rewrites the test sentences of two styles, each into the other, by the prompts of Table A3, and the rewritings are judged by a ' +
      'classifier of the styles (ACC), BLEU against human ones, and perplexity under a language model of the target style (PPL). --outputs scores what another ' +
      'system wrote, without a model. Beside them stand the input left as it is, the human rewritings, and the paper’s rows. A transfer that was ' +
      'interrupted goes on with the same command and --output.',
  )
  command
    .option('--dataset <name>', `${names.join(' or ')}`)
    .option('--data <folder>', transferDatasets.map(({ name, layout }) => `of ${name}: ${layout}`).join('; '))
    .option(
      '--outputs <files...>',
      'instead of a model: two files of transfers, of the sentences of style 0 and of style 1, a line each with blanks between words',
    )
    .option('--normalize-outputs', 'lower case and NLTK’s words for those files, as for a decoder’s answers')
    .option('--classifier <folder>', 'a run of salora train --preset tsst-classifier on this dataset; without it, there is no ACC')
    .option(
      '--language-models <files...>',
      'two n-gram models, of style 0 and style 1 (default: order 5, trained on the training sentences in the folder)',
    )
    .option('--name <text>', 'of the row in the table (default: that of the run, the model or the first file)')
    .option('--limit <n>', 'sentences of each direction, the first n; the table says so (default: all)')
    .option(
      '--output <folder>',
      'transfers, table.md, .csv and .tex, examples.html and result.json (default: a new one in runs; of --outputs: none)',
    )
  addModelFlags(command, machine)
  command.option('--prompt-template <name>', `${promptTemplates.join(', ')} (default: the run's, else paper)`)
  addGenerationFlags(command, generation)
  withOutput(
    command,
    [
      'salora style-transfer --dataset yelp --data yelp --run runs/alpaca-salora-1 --classifier runs/yelp-full-1 --output transfers',
      'salora style-transfer --dataset yelp --data yelp --outputs neg2pos.txt pos2neg.txt --json',
    ],
    async (given, terminal) => {
      const dataset = transferDatasets.find(({ name }) => name === choiceOf(given, 'dataset', names))
      if (dataset === undefined) throw usageError('--dataset', names.join(' or '), 'none given')
      const data = textOf(given, 'data', 'the folder of the test sentences')
      const classifier = given['classifier'] === undefined ? null : String(given['classifier'])
      const { source, called } = await sourceOf(given)
      const isOutputs = 'files' in source
      const output =
        given['output'] === undefined ? (isOutputs ? null : await nextRunFolder(dataset.name, 'transfer')) : String(given['output'])
      if (output !== null && !isOutputs) terminal.note(`transfers go to ${output}`)
      const interrupt = watchInterrupt(
        () => terminal.note('stopping after the sentences at hand; once more leaves at once'),
        () => undefined,
      )
      const show = progressOf(terminal)
      try {
        const options = {
          dataset,
          data,
          limit: limitOf(given),
          source,
          name: typeof given['name'] === 'string' ? given['name'] : called,
          classifier,
          languageModels: pairOf(given, 'languageModels', '--language-models'),
          output,
        }
        for await (const event of styleTransfer(options, interrupt.signal)) {
          if (event.kind === 'preparing') terminal.note(`${event.what} …`)
          else if (event.kind === 'transferring') show(event.direction, event.done, event.of)
          else {
            if (output !== null) await writeFileAtomically(join(output, 'examples.html'), transferExamplesPage(event.examples))
            tellEmpty(event.result, terminal)
            terminal.result(resultText(event.result, output), event.result)
          }
        }
      } finally {
        show.close()
        interrupt.release()
      }
      const code = interrupt.exitCode()
      if (code !== null && output !== null) terminal.note(`stopped; the same command with --output ${output} goes on`)
      return code ?? exitCodes.success
    },
  )
}

const textOf = (given: Values, name: string, expected: string): string => {
  const value = given[name]
  if (typeof value !== 'string' || value === '') throw usageError(`--${name}`, expected, 'none given')
  return value
}

const limitOf = (given: Values): number | null => {
  if (given['limit'] === undefined) return null
  const limit = numberOf('--limit', String(given['limit']))
  if (!Number.isInteger(limit) || limit < 1) throw usageError('--limit', 'a whole number of at least 1', String(given['limit']))
  return limit
}

const pairOf = (given: Values, name: string, flag: string): readonly [string, string] | null => {
  const files = given[name]
  if (files === undefined) return null
  const [first, second, ...more] = (Array.isArray(files) ? files : [files]).map(String)
  if (first === undefined || second === undefined || more.length > 0)
    throw usageError(flag, 'two files, of style 0 and of style 1', plural(Array.isArray(files) ? files.length : 1, 'file'))
  return [first, second]
}

/** What is scored, and what it is called where no name is given. */
const sourceOf = async (given: Values): Promise<{ readonly source: TransferSource; readonly called: string }> => {
  const files = pairOf(given, 'outputs', '--outputs')
  const ofModel = ['run', 'model', 'adapter', ...machine, 'promptTemplate', ...generation].filter((name) => given[name] !== undefined)
  if (files !== null) {
    if (ofModel.length > 0) throw usageError('--outputs', 'either --outputs or a model that transfers', 'both')
    return { source: { files, normalize: given['normalizeOutputs'] === true }, called: basename(files[0]) }
  }
  if (given['normalizeOutputs'] === true) throw usageError('--normalize-outputs', '--outputs beside it', 'none given')
  if (['run', 'model', 'adapter'].every((name) => given[name] === undefined))
    throw usageError('--run', 'the folder of a run (or --model, or --outputs)', 'none given')
  const { adapter, runTask } = await adapterRequest(
    Object.fromEntries(['run', 'model', 'adapter', ...machine].map((name) => [name, given[name]])),
  )
  const { stop: _, ...asked } = generationRequest(Object.fromEntries(generation.map((name) => [name, given[name]])))
  return {
    source: {
      generator: adapter,
      template: choiceOf(given, 'promptTemplate', promptTemplates) ?? templateOf(runTask ?? {}),
      generation: asked,
    },
    called: basename(String(given['run'] ?? given['adapter'] ?? given['model'])),
  }
}

/** A bar for each direction in turn. */
const progressOf = (terminal: Terminal) => {
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

const tellEmpty = ({ directions }: StyleTransferResult, terminal: Terminal): void => {
  for (const [direction, { empty, lines }] of Object.entries(directions))
    if (empty > 0) terminal.warn(`${direction}: ${empty} of ${plural(lines, 'output')} empty, scored as such`)
}

const resultText = ({ table, classifier, languageModels, seconds }: StyleTransferResult, output: string | null): string =>
  [
    markdownTable(table),
    classifier === null
      ? 'ACC: not judged (--classifier)'
      : `ACC: ${classifier.name}, which is right of ${Object.entries(classifier.accuracy)
          .map(([style, accuracy]) => `${accuracy.toFixed(1)} % of the ${style} sources`)
          .join(' and ')}`,
    'BLEU: against the human rewritings, words between blanks, no smoothing',
    `PPL: ${languageModels.join('; ')}`,
    `the paper's rows are its own numbers; its LLaMA-7B without an adapter is the input left as it is`,
    `${duration(seconds.transferring)} for the transfers, ${duration(seconds.scoring)} for the scores${output === null ? '' : `; ${output} has table.md, table.csv, table.tex, examples.html and result.json`}`,
  ].join('\n')

/** The output of the scores: the table, the examples for a reader, and the files of the result. */
import { join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import type { TransferExamples } from './gyafc.js'
import { versions } from '../../finetuning/runs/versions.js'
import { published, csvTable, latexTable, markdownTable, publishedRow, type TableRow, type TransferTable } from './transferTable.js'
import type { Scored } from './scores.js'
import type { TransferData } from './transferData.js'
import type { StyleTransferOptions, StyleTransferResult, Outputs } from './contract.js'

type AllScored = Readonly<Record<'transfers' | 'copies' | 'human', readonly [Scored, Scored]>>

const byDirection = ({ directions }: TransferData, scored: readonly [Scored, Scored]): StyleTransferResult['directions'] =>
  Object.fromEntries(scored.map(({ scores }, i) => [directions[i]?.name ?? '', scores]))

export const resultOf = (
  options: StyleTransferOptions,
  data: TransferData,
  scored: AllScored,
  languageModels: ReadonlyArray<string>,
  seconds: StyleTransferResult['seconds'],
): StyleTransferResult => {
  const { transfers, copies, human } = scored
  return {
    dataset: options.dataset.name,
    name: options.name,
    directions: byDirection(data, transfers),
    unchanged: byDirection(data, copies),
    reference: byDirection(data, human),
    classifier:
      options.classifier === null
        ? null
        : {
            name: options.classifier,
            accuracy: Object.fromEntries(copies.map(({ scores }, i) => [data.styles[i] ?? '', 100 - (scores.accuracy ?? NaN)])),
          },
    languageModels,
    limit: options.limit,
    table: tableOf(options, data, scored),
    seconds,
    versions,
  }
}

/** The paper's rows, then the human rewritings and the unchanged input under our scorers, then the transfers. */
const tableOf = (
  { dataset, name, limit }: StyleTransferOptions,
  { directions }: TransferData,
  { transfers, copies, human }: AllScored,
): TransferTable => {
  const row = (method: string, [from0, from1]: readonly [Scored, Scored]): TableRow => ({
    method,
    scores: [from0.scores, from1.scores],
    published: false,
  })
  const papers = published.flatMap((line) => publishedRow(line, dataset.name) ?? [])
  return {
    title: limit === null ? dataset.title : `${dataset.title}, first ${limit} sentences each way`,
    directions: [directions[0].name, directions[1].name],
    rows: [...papers, row('Reference', human), row('input unchanged', copies), row(name, transfers)],
  }
}

export const examplesOf = (
  { dataset, name }: StyleTransferOptions,
  { directions }: TransferData,
  outputs: Outputs,
  transfers: readonly [Scored, Scored],
): TransferExamples => ({
  title: `${dataset.title}: ${name}`,
  groups: directions.map((direction, i) => ({
    direction: direction.name,
    examples: direction.sources.map((source, line) => ({
      source,
      output: outputs[direction.from][line] ?? '',
      reference: direction.references[0]?.[line] ?? '',
      scores: transfers[i]?.sentences[line] ?? { bleu: 0, probability: null, perplexity: null },
    })),
  })),
})

export const writeResult = async (folder: string, result: StyleTransferResult): Promise<void> => {
  const write = (name: string, text: string): Promise<void> => writeFileAtomically(join(folder, name), text)
  await write('table.md', markdownTable(result.table))
  await write('table.csv', csvTable(result.table))
  await write('table.tex', latexTable(result.table))
  await write('result.json', `${JSON.stringify(result, null, 2)}\n`)
}

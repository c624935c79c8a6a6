/** Plain language modeling: the loss covers every token of a text. */
import { plainTextOptions } from '../texts/tokens.js'
import { encoding, evalShare, packing, textColumn } from '../files/flags.js'
import { causalLM, causalScoring } from '../texts/textTaskType.js'
import { textSource } from '../texts/source.js'
import type { Task } from '../task.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { type Dataset, type Example, atRow } from '../../data/dataset.js'
import { readTexts, type TextColumns } from '../../data/delimited.js'
import { parseEncoding, utf8 } from '../../data/encoding.js'
import { eachLine } from '../../data/lineStream.js'
import { contentExtension } from '../../data/formats.js'
import { exampleStore } from '../../data/compactExamples.js'
import { checkSize } from '../../data/textFile.js'

// Reads plain text for language modeling: the paragraphs of a .txt file, or a text column of a file with rows.
/** One example per paragraph of a .txt file (an empty line ends it), or per cell of another file's text column. @throws InputError */
export const readPlainText = async (file: string, columns: TextColumns): Promise<Dataset> => {
  await checkSize(file)
  const store = exampleStore()
  const examples: Example[] = []
  const put = (text: string, row: number): void => {
    examples.push(store({ text, label: 0, row }))
  }
  if (contentExtension(file) === '.txt') await eachParagraph(file, columns, put)
  else
    await readTexts(file, columns, (row, text) => {
      if (text === null || text.trim() === '')
        throw inputError(atRow(file, row), `a text in column ${quoted(columns.text ?? 'text')}`, 'none')
      put(text, row)
    })
  if (examples.length === 0) throw inputError(file, 'at least one line of text', 'blank ones alone')
  return { source: file, examples, labelNames: null, skipped: [] }
}

const eachParagraph = async (file: string, columns: TextColumns, put: (text: string, row: number) => void): Promise<void> => {
  const { encoding, ...others } = columns
  const [given] = Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (given !== undefined) throw inputError(file, `a file with columns to go with --${given}`, 'a .txt file')
  let [lines, first] = [[] as string[], 1]
  const end = (): void => {
    if (lines.length > 0) put(lines.join('\n'), first)
    lines = []
  }
  const takeLine = (row: number, bytes: Buffer): void => {
    const line = bytes.toString('utf8')
    if (line.trim() === '') end()
    else {
      if (lines.length === 0) first = row
      lines.push(line)
    }
  }
  await eachLine(file, takeLine, encoding === undefined ? utf8 : parseEncoding(encoding))
  end()
}

const plainTextSource = textSource({
  name: 'text',
  help: 'the paragraphs of a text file, for a decoder',
  flags: [
    { name: 'data', placeholder: 'folder|file', description: 'text: .txt file, or a file with a column --text', common: true },
    textColumn,
    encoding,
    evalShare,
    packing,
  ],
  read: (file, { text, encoding: name }) =>
    readPlainText(file, { ...(text === undefined ? {} : { text }), ...(name === undefined ? {} : { encoding: name }) }),
  scoring: causalScoring,
  dataOptions: (options) => ({ text: { ...plainTextOptions, packing: options.packing === true } }),
})

export const plainText: Task = { types: [causalLM], sources: [plainTextSource] }

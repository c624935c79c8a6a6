/** CoNLL-style files: a token and its tag per line, in the first and the last column, and a blank line between sentences. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import { encodingNamed, utf8 } from '../../data/encoding.js'
import { atRow } from '../../data/errorText.js'
import { eachLine } from '../../data/lineStream.js'
import { mostWords, type ReadSentences } from './sentences.js'
import { columnCount } from '../../data/table.js'
import { joinedTokens } from './words.js'

/** Separates documents in the files of CoNLL-2003. */
const documentStart = '-DOCSTART-'

export const columnSentences: ReadSentences = async (file, options, take) => {
  const [given] = (['text', 'label', 'tagNames'] as const).filter((name) => options[name] !== undefined)
  if (given !== undefined)
    throw inputError(`--${given === 'tagNames' ? 'tag-names' : given}`, 'a .json, .jsonl or .parquet file to go with it', file)
  let [tokens, tags, first] = [[] as string[], [] as string[], 1]
  const end = (): void => {
    if (tokens.length > 0 && !(tokens.length === 1 && tokens[0] === documentStart)) take(first, { ...joinedTokens(tokens), tags })
    ;[tokens, tags] = [[], []]
  }
  const takeLine = (row: number, bytes: Buffer): void => {
    const line = bytes.toString('utf8')
    if (line.trim() === '') {
      end()
      return
    }
    const cells = cellsIn(line)
    const [token = '', tag = ''] = [cells[0]?.trim(), cells.at(-1)?.trim()]
    if (cells.length < 2 || token === '')
      throw inputError(atRow(file, row), 'a token and its tag, with a tab or a blank between them', columnCount(Math.max(1, cells.length)))
    if (tokens.length === mostWords) throw inputError(atRow(file, row), `a blank line after at most ${mostWords} tokens`, 'none')
    if (tokens.length === 0) first = row
    tokens.push(token)
    tags.push(tag)
  }
  await eachLine(file, takeLine, options.encoding === undefined ? utf8 : encodingNamed(options.encoding), options.storage)
  end()
}

/** The cells between tabs without empty ones at the end, or those between blanks. */
const cellsIn = (line: string): ReadonlyArray<string> => {
  if (!line.includes('\t')) return line.trim().split(/ +/)
  const cells = line.split('\t')
  return cells.slice(0, cells.findLastIndex((cell) => cell.trim() !== '') + 1)
}

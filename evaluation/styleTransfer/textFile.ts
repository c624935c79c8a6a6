/** Files of one sentence a line. */
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import { styleFiles, type StyleName } from '../../finetuning/data/styles.js'
import { eachTextLine, fileSource } from '../ngram/textLines.js'

/** Maximum lines of a file; evaluations have thousands. */
const mostLines = 1_000_000

/** A file's lines. The last line needs no line feed. @throws InputError if the file is unreadable, empty, too long or not UTF-8 */
export const linesOf = async (file: string): Promise<ReadonlyArray<string>> => {
  const lines: string[] = []
  await eachTextLine(await fileSource(file), (bytes, start, end, line) => {
    if (line > mostLines) throw inputError(file, `at most ${mostLines} lines`, 'more')
    lines.push(
      Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
        .toString('utf8')
        .replace(/\r$/, ''),
    )
  })
  if (lines.length === 0) throw inputError(file, 'a sentence a line', 'an empty file')
  return lines
}

/** The files of the training sentences, by style; null if the folder has none. */
export const trainingFiles = (name: StyleName, folder: string): readonly [string, string] | null => {
  try {
    return styleFiles(name, 'train', folder)
  } catch (thrown) {
    if (thrown instanceof InputError) return null
    throw thrown
  }
}

/** @throws InputError if two files that belong together line by line have different numbers of lines */
export const checkLines = (lines: ReadonlyArray<string>, file: string, count: number, like: string): void => {
  if (lines.length !== count) throw inputError(file, `${count} lines, as many as ${like} has`, String(lines.length))
}

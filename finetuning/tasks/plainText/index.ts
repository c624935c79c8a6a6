/** Plain language modeling: the loss covers every token of a text. */
import { readPlainText } from './rows.js'
import { plainTextOptions } from '../texts/tokens.js'
import { encoding, evalShare, packing, textColumn } from '../files/flags.js'
import { causalLM, causalScoring } from '../texts/taskType.js'
import { textSource } from '../texts/source.js'
import type { Task } from '../task.js'

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

/** Plain language modeling: the loss covers every token of a text. */
import { readPlainText } from '../../data/plainText.js'
import { plainTextOptions } from '../../tokens/textTokens.js'
import { encoding, evalShare, packing, textColumn } from './sharedFlags.js'
import { causalScoring } from '../taskTypes/causalLM.js'
import { textSource } from './textSource.js'

export const plainTextSource = textSource({
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

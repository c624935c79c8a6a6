/** Plain language modeling: every token of a text is learned. */
import { readPlainText } from '../../data/plainText.js'
import { plainTextOptions } from '../../tokens/textTokens.js'
import { textSource } from './textSource.js'

export const plainTextSource = textSource({
  name: 'text',
  help: 'the paragraphs of a text file, for a decoder',
  flags: [
    { name: 'data', takes: 'folder|file', help: 'of text the .txt file, or one with a column --text' },
    { name: 'text', takes: 'column', help: 'column of the text in a file (default: text)' },
    {
      name: 'packing',
      takes: '',
      help: 'of alpaca and text: several texts share a row of --max-length tokens; they do not see each other',
    },
  ],
  read: (file, { text }) => readPlainText(file, text === undefined ? {} : { text }),
  textOptions: ({ packing }) => ({ ...plainTextOptions, packing: packing === true }),
})

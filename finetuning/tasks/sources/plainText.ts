/** Plain language modeling: the loss covers every token of a text. */
import { readPlainText } from '../../data/plainText.js'
import { plainTextOptions } from '../../tokens/textTokens.js'
import { textSource } from './textSource.js'

export const plainTextSource = textSource({
  name: 'text',
  help: 'the paragraphs of a text file, for a decoder',
  flags: [
    { name: 'data', placeholder: 'folder|file', description: 'text: .txt file, or a file with a column --text', common: true },
    { name: 'text', placeholder: 'column', description: 'Column of the text', defaultText: 'text', common: true },
    {
      name: 'packing',
      placeholder: '',
      description: 'Pack several texts into each row of --max-length tokens; they do not attend to each other (alpaca, text)',
    },
  ],
  read: (file, { text }) => readPlainText(file, text === undefined ? {} : { text }),
  textOptions: ({ packing }) => ({ ...plainTextOptions, packing: packing === true }),
})

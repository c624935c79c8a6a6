/** Instruction tuning: responses are learned, given their prompts. */
import { readConversations } from '../../data/conversations.js'
import { templateOf } from '../../data/promptTemplates.js'
import { textSource } from './textSource.js'

export const instructionsSource = textSource({
  name: 'alpaca',
  help: 'instructions and responses of a file, for a decoder',
  flags: [
    { name: 'data', takes: 'folder|file', help: 'of alpaca the file: rows of instruction, perhaps input, and output, or of messages' },
    {
      name: 'promptTemplate',
      takes: 'name',
      help: "of alpaca: paper (SaLoRA's Appendix C), alpaca (Stanford's) or chat (the model's own template) (default: paper)",
    },
    { name: 'trainOnInputs', takes: '', help: 'of alpaca: prompts are learned as responses are' },
    { name: 'skipMissing', takes: '', help: 'of alpaca: leave rows out whose response is empty' },
    {
      name: 'packing',
      takes: '',
      help: 'of alpaca and text: several texts share a row of --max-length tokens; they do not see each other',
    },
  ],
  read: (file, options) => readConversations(file, templateOf(options), options.skipMissing === true),
  textOptions: (options) => ({
    promptTemplate: templateOf(options),
    trainOnInputs: options.trainOnInputs === true,
    packing: options.packing === true,
  }),
})

/** Instruction tuning: the loss covers responses, given their prompts. */
import { readConversations } from '../../data/conversations.js'
import { templateOf } from '../../data/promptTemplates.js'
import { encoding, evalShare, packing, skipMissing } from './sharedFlags.js'
import { textSource } from './textSource.js'

export const instructionsSource = textSource({
  name: 'alpaca',
  help: 'instructions and responses of a file, for a decoder',
  flags: [
    {
      name: 'data',
      placeholder: 'folder|file',
      description: 'alpaca: JSON, JSON-lines or Parquet file of instructions or conversations',
      common: true,
    },
    {
      name: 'promptTemplate',
      placeholder: 'name',
      description: "Prompt template of instructions: paper (SaLoRA's Appendix C), alpaca (Stanford's) or chat (the model's own)",
      defaultText: 'chat if the model has a chat template, else paper',
    },
    { name: 'trainOnInputs', placeholder: '', description: 'Also compute the loss on prompt tokens (alpaca)' },
    skipMissing,
    encoding,
    evalShare,
    packing,
  ],
  read: (file, options) => readConversations(file, templateOf(options), options),
  textOptions: (options) => ({
    promptTemplate: templateOf(options),
    trainOnInputs: options.trainOnInputs === true,
    packing: options.packing === true,
  }),
})

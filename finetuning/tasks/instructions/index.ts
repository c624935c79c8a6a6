/** Instruction tuning: the loss covers responses, given their prompts. */
import { alternatives } from '../../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { truncations, type Truncation } from '../texts/tokens.js'
import type { Task, TaskOptions } from '../task.js'
import { readConversations } from '../../data/conversations.js'
import { chooseTemplate, parseTemplate } from '../../data/promptTemplates.js'
import { mixtureFlags } from '../files/mixture.js'
import { encoding, evalShare, packing, promptTemplate, skipMissing, templateDate } from '../files/flags.js'
import { causalLM, causalScoring } from '../texts/textTaskType.js'
import { textSource } from '../texts/source.js'

/** @throws InputError for an unknown name, and for turns without the chat template */
const parseTruncation = (options: TaskOptions): Truncation => {
  const { truncation = 'tokens' } = options
  const named = truncations.find((name) => name === truncation)
  if (named === undefined) throw inputError(option('truncation'), alternatives(truncations), quoted(truncation))
  const template = parseTemplate(options)
  if (named === 'turns' && template !== 'chat')
    throw inputError(option('truncation'), words`tokens, as ${option('promptTemplate')} ${template} has one exchange`, quoted(named))
  return named
}

const instructionsSource = textSource({
  name: 'alpaca',
  help: 'instructions and responses of a file, for a decoder',
  flags: [
    {
      name: 'data',
      placeholder: 'folder|file',
      description: 'alpaca: JSON, JSON-lines or Parquet file of instructions or conversations',
      common: true,
    },
    promptTemplate,
    templateDate,
    {
      name: 'truncation',
      placeholder: 'name',
      description: 'Truncation of long conversations: turns (drop the oldest exchanges whole) or tokens',
      defaultText: 'turns with the chat template, else tokens',
      viaSet: true,
    },
    { name: 'trainOnInputs', placeholder: '', description: 'Also compute the loss on prompt tokens (alpaca)' },
    skipMissing,
    encoding,
    evalShare,
    ...mixtureFlags,
    packing,
  ],
  read: (file, options) => readConversations(file, parseTemplate(options), options),
  scoring: causalScoring,
  dataOptions: (options) => ({
    text: {
      ...chooseTemplate(options),
      truncation: parseTruncation(options),
      trainOnInputs: options.trainOnInputs === true,
      packing: options.packing === true,
    },
  }),
})

export const instructions: Task = { types: [causalLM], sources: [instructionsSource] }

/** Instruction tuning: responses are learned, given their prompts. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { readConversations } from '../../data/conversations.js'
import { promptTemplates, type PromptTemplate } from '../../data/promptTemplates.js'
import type { TaskOptions } from '../task.js'
import { oneOf } from '../../data/errorText.js'
import { nextTokenTask } from './nextToken.js'

/** @throws Mistake */
export const templateOf = ({ promptTemplate = 'paper' }: Pick<TaskOptions, 'promptTemplate'>): PromptTemplate => {
  const found = promptTemplates.find((name) => name === promptTemplate)
  if (found === undefined) throw inputError('--prompt-template', oneOf(promptTemplates), quoted(promptTemplate))
  return found
}

export const alpacaTask = nextTokenTask(
  'alpaca',
  'instructions and responses of a file, for a decoder',
  [
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
  (file, options) => readConversations(file, templateOf(options), options.skipMissing === true),
)

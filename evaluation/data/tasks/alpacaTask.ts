/** Instruction tuning: responses are learnt, given their prompts. */
import { mistake, quoted } from '../../../accelerated/files/mistake.js'
import { readConversations } from '../conversations.js'
import { promptTemplates, type PromptTemplate } from '../promptTemplates.js'
import type { TaskOptions } from '../task.js'
import { oneOf } from '../wording.js'
import { nextTokenTask } from './nextToken.js'

/** @throws Mistake */
export const templateOf = ({ promptTemplate = 'paper' }: Pick<TaskOptions, 'promptTemplate'>): PromptTemplate => {
  const found = promptTemplates.find((name) => name === promptTemplate)
  if (found === undefined) throw mistake('--prompt-template', oneOf(promptTemplates), quoted(promptTemplate))
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
    { name: 'trainOnInputs', takes: '', help: 'of alpaca: prompts are learnt as responses are' },
    { name: 'skipMissing', takes: '', help: 'of alpaca: leave rows out whose response is empty' },
    { name: 'pack', takes: '', help: 'of alpaca and text: several texts share a row of --max-length tokens; they do not see each other' },
  ],
  (file, options) => readConversations(file, templateOf(options), options.skipMissing === true),
)

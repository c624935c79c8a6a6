/** Prompt templates of instruction tuning: the text before the response that the model learns. */
import { alternatives } from '../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'

/** paper: SaLoRA's Appendix C, one preamble with or without input · alpaca: Stanford's, whose preamble mentions an input · chat: the model's own */
export const promptTemplates = ['paper', 'alpaca', 'chat'] as const
export type PromptTemplate = (typeof promptTemplates)[number]

/** @throws InputError for an unknown name */
export const parseTemplate = ({ promptTemplate = 'paper' }: { readonly promptTemplate?: string }): PromptTemplate => {
  const template = promptTemplates.find((name) => name === promptTemplate)
  if (template === undefined) throw inputError(option('promptTemplate'), alternatives(promptTemplates), quoted(promptTemplate))
  return template
}

export type Instruction = { readonly instruction: string; readonly input: string }

const task = 'Below is an instruction that describes a task'
const request = 'Write a response that appropriately completes the request.'

/** The paper's table does not show the blank lines between sections; they are Stanford's. */
export const promptFormats: Readonly<Record<Exclude<PromptTemplate, 'chat'>, (of: Instruction) => string>> = {
  paper: (of) => `${task}. ${request}\n\n${sections(of)}`,
  alpaca: (of) =>
    `${of.input === '' ? `${task}.` : `${task}, paired with an input that provides further context.`} ${request}\n\n${sections(of)}`,
}

const sections = ({ instruction, input }: Instruction): string =>
  [`### Instruction:\n${instruction}`, ...(input === '' ? [] : [`### Input:\n${input}`]), '### Response:'].join('\n\n')

/** Prompt templates of instruction tuning: the text before the response that the model learns. */
import { alternatives } from '../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { parseDate } from '../../accelerated/checkpoints/chatTemplate/templateDate.js'

/** paper: SaLoRA's Appendix C, one preamble with or without input · alpaca: Stanford's, whose preamble mentions an input · chat: the model's own · none: the prompt as it is */
export const promptTemplates = ['paper', 'alpaca', 'chat', 'none'] as const
export type PromptTemplate = (typeof promptTemplates)[number]

/** A template, and the date that a chat template writes; undefined: today. */
export type ChosenTemplate = { readonly promptTemplate: PromptTemplate; readonly templateDate: string | undefined }

/** @throws InputError for an unknown name */
export const parseTemplate = ({ promptTemplate = 'paper' }: { readonly promptTemplate?: string }): PromptTemplate => {
  const template = promptTemplates.find((name) => name === promptTemplate)
  if (template === undefined) throw inputError(option('promptTemplate'), alternatives(promptTemplates), quoted(promptTemplate))
  return template
}

/** The template and its date. @throws InputError for an unknown name, for what is no date, and for a date with another template than chat */
export const chooseTemplate = (options: { readonly promptTemplate?: string; readonly templateDate?: string }): ChosenTemplate => {
  const [promptTemplate, { templateDate }] = [parseTemplate(options), options]
  if (templateDate !== undefined && promptTemplate !== 'chat')
    throw inputError(option('templateDate'), words`none without ${option('promptTemplate')} chat`, quoted(templateDate))
  return { promptTemplate, templateDate: templateDate === undefined ? undefined : parseDate(templateDate) }
}

export type Instruction = { readonly instruction: string; readonly input: string }

const task = 'Below is an instruction that describes a task'
const request = 'Write a response that appropriately completes the request.'

/** The paper's table does not show the blank lines between sections; they are Stanford's. */
export const promptFormats: Readonly<Record<Exclude<PromptTemplate, 'chat'>, (of: Instruction) => string>> = {
  paper: (of) => `${task}. ${request}\n\n${sections(of)}`,
  alpaca: (of) =>
    `${of.input === '' ? `${task}.` : `${task}, paired with an input that provides further context.`} ${request}\n\n${sections(of)}`,
  none: ({ instruction, input }) => (input === '' ? instruction : `${instruction}\n\n${input}`),
}

const sections = ({ instruction, input }: Instruction): string =>
  [`### Instruction:\n${instruction}`, ...(input === '' ? [] : [`### Input:\n${input}`]), '### Response:'].join('\n\n')

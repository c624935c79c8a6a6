/** Prompts: the one of --prompt, or those of a file of JSON lines. */
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import type { PromptTemplate } from '../../finetuning/data/promptTemplates.js'
import { promptTemplates } from '../../finetuning/data/promptTemplates.js'
import type { Prompt } from '../../finetuning/tokens/prompts.js'
import type { Values } from '../options/flagValues.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

/** `where` is its place in messages; `told`: what answers are written beside. */
export type GivenPrompt = { readonly where: string; readonly prompt: Prompt; readonly told: unknown }

/** Bytes of a file of prompts. */
const promptsLimit = 1_000_000_000

/**
 * With a template, --prompt is an instruction. @param usual the template of a file's instructions where none is asked for.
 * @throws UsageError or Mistake with one line
 */
export const promptsOf = async (given: Values, usual: PromptTemplate): Promise<ReadonlyArray<GivenPrompt>> => {
  const [text, input, template] = [given['prompt'], given['input'], templateOf(given['promptTemplate'])]
  if (text !== undefined && input !== undefined) throw usageError('--prompt', 'either --prompt or --input', 'both')
  if (typeof text === 'string') {
    if (text === '') throw usageError('--prompt', 'a text', 'an empty one')
    return [{ where: '--prompt', prompt: template === null ? { text } : { template, instruction: text, input: '' }, told: text }]
  }
  if (typeof input !== 'string') throw usageError('--prompt', 'a text (or --input, a file of them)', 'none given')
  return linesOf(await readText(input, promptsLimit), input, template ?? usual)
}

const templateOf = (given: unknown): PromptTemplate | null => {
  if (given === undefined) return null
  const found = promptTemplates.find((name) => name === given)
  if (found === undefined) throw usageError('--prompt-template', `one of ${promptTemplates.join(', ')}`, quoted(String(given)))
  return found
}

const linesOf = (text: string, file: string, template: PromptTemplate): ReadonlyArray<GivenPrompt> => {
  const lines = text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((line, i) => ({ where: `${file}, line ${i + 1}`, line: line.trim() }))
    .filter(({ line }) => line !== '')
  if (lines.length === 0) throw inputError(file, 'a prompt a line, as {"prompt": TEXT}', 'none')
  return lines.map(({ where, line }) => lineOf(line, where, template))
}

const [longest, most] = [10_000_000, 10_000]
const row = z.object({
  prompt: z.string().min(1).max(longest).optional(),
  instruction: z.string().min(1).max(longest).optional(),
  input: z.string().max(longest).nullish(),
  messages: z
    .array(z.object({ role: z.string().min(1).max(100), content: z.string().max(longest) }))
    .min(1)
    .max(most)
    .optional(),
})

const lineOf = (line: string, where: string, template: PromptTemplate): GivenPrompt => {
  const { prompt, instruction, input, messages } = validate(row, parseJson(line, where), where, 'a prompt')
  if (prompt !== undefined) return { where, prompt: { text: prompt }, told: prompt }
  if (messages !== undefined) return { where, prompt: { messages }, told: messages }
  if (instruction !== undefined) return { where, prompt: { template, instruction, input: input ?? '' }, told: instruction }
  throw inputError(where, '"prompt", "instruction" or "messages"', quoted(line))
}

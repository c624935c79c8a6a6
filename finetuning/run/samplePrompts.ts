/** The prompts of a run's samples, which its model answers after each evaluation. config.json holds them, so that a resumed run needs no file. */
import { z } from 'zod'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { validate } from '../../accelerated/errors/validate.js'
import { option, words } from '../../accelerated/errors/words.js'
import { promptTemplates } from '../data/promptTemplates.js'
import type { TaskOptions } from '../tasks/task.js'
import type { TaskType } from '../tasks/taskType.js'
import type { Prompt } from '../tasks/texts/prompts.js'

/** A text is an instruction if the task has a prompt template, and otherwise a text to continue. */
export type SamplePrompt = string | Prompt

/** Prompts of a run, and characters of each: people read the answers, and each evaluation waits for them. */
export const [mostSamplePrompts, longestSamplePrompt] = [32, 10_000]
const mostSampleMessages = 100
/** New tokens of each answer at most, which is greedy. */
export const sampleTokens = 64

const text = z.string().min(1).max(longestSamplePrompt)
const instruction = z.strictObject({
  template: z.enum(promptTemplates).optional(),
  instruction: text,
  input: z.string().max(longestSamplePrompt).optional(),
})
const messages = z
  .array(z.looseObject({ role: z.string().min(1).max(100), content: z.string().max(longestSamplePrompt) }))
  .min(1)
  .max(mostSampleMessages)

export const samplePromptsSchema = z
  .array(z.union([text, z.strictObject({ text }), z.strictObject({ prompt: text }), instruction, z.strictObject({ messages })]))
  .min(1)
  .max(mostSamplePrompts)

/** Bytes of all prompts: config.json holds them. */
export const samplePromptsLimit = 1_000_000

/** @throws InputError for a list that is too long, and for a prompt of another form */
export const checkSamplePrompts = (prompts: readonly SamplePrompt[]): void => {
  validate<unknown>(samplePromptsSchema, prompts, option('samplePrompts'), 'prompts')
  const bytes = Buffer.byteLength(JSON.stringify(prompts))
  if (bytes > samplePromptsLimit) throw inputError(option('samplePrompts'), `at most ${samplePromptsLimit} bytes of prompts`, String(bytes))
}

/** The prompt as it is written beside an answer. */
export const displayPrompt = (prompt: SamplePrompt): unknown => {
  if (typeof prompt === 'string') return prompt
  if ('text' in prompt) return prompt.text
  if ('prompt' in prompt) return prompt.prompt
  return 'messages' in prompt ? prompt.messages : prompt.instruction
}

/** @throws InputError if the task's model generates no text */
export const checkGenerates = ({ command }: TaskType, { task }: TaskOptions, prompts: readonly SamplePrompt[]): void => {
  if (command !== 'generate')
    throw inputError(
      option('samplePrompts'),
      words`none with ${option('task')} ${task}, whose model writes no text`,
      `${prompts.length}, ${describeFirst(prompts)}`,
    )
}

const describeFirst = ([first = '']: readonly SamplePrompt[]): string =>
  `the first ${quoted(typeof first === 'string' ? first : JSON.stringify(displayPrompt(first)))}`

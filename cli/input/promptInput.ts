/** Prompts: the one of --prompt, or JSON lines in a file or on standard input. */
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { decodeUtf8, readText } from '../../accelerated/storage/text.js'
import { parseJson } from '../../accelerated/storage/json.js'
import type { PromptTemplate } from '../../finetuning/data/promptTemplates.js'
import { longestSamplePrompt, mostSamplePrompts, samplePromptsLimit, type SamplePrompt } from '../../finetuning/run/samplePrompts.js'
import type { Prompt } from '../../finetuning/tasks/texts/prompts.js'
import { requiredError, usageError } from '../../finetuning/commandLine/usageError.js'
import { fstatSync } from 'node:fs'

/** `where` names it in messages; `shown` is written beside its answer. */
export type GivenPrompt = { readonly where: string; readonly prompt: Prompt; readonly shown: unknown }

type PromptFlags = { readonly prompt: string | null; readonly input: string | null; readonly template: PromptTemplate | null }

/** Bytes of a file of prompts: a JavaScript string holds no more. */
const promptsLimit = 500_000_000

/**
 * With a template, --prompt is an instruction.
 * @param defaultTemplate of a file's instructions; null: the model's own
 * @throws UsageError or InputError with one line
 */
export const readPrompts = async (
  { prompt: text, input, template }: PromptFlags,
  defaultTemplate: PromptTemplate | null,
): Promise<readonly GivenPrompt[]> => {
  if (text !== null && input !== null) throw usageError('--prompt', 'either --prompt or --input', 'both')
  if (text !== null)
    return [{ where: '--prompt', prompt: template === null ? { text } : { template, instruction: text, input: '' }, shown: text }]
  if (input === null) throw requiredError('--prompt', 'a text (or --input, a file of prompts)')
  if (input === '-') return parseLines(await readStandardInput(), 'standard input', template ?? defaultTemplate)
  return parseLines(await readText(input, promptsLimit), input, template ?? defaultTemplate)
}

/**
 * The prompts of --sample-prompts. If its first line is an object with a prompt, the file is JSON lines; otherwise each line is a prompt.
 * @throws InputError with one line
 */
export const readSamplePrompts = async (file: string): Promise<readonly SamplePrompt[]> => {
  const lines = nonBlankLines(await readText(file, samplePromptsLimit), file)
  if (lines.length > mostSamplePrompts) throw inputError(file, `at most ${mostSamplePrompts} prompts`, String(lines.length))
  const isJson = isPromptObject(lines[0]?.line ?? '')
  return lines.map(({ line, where }) => {
    if (line.length > longestSamplePrompt)
      throw inputError(where, `a prompt of at most ${longestSamplePrompt} characters`, String(line.length))
    return isJson ? parseLine(line, where, null).prompt : line
  })
}

const isPromptObject = (line: string): boolean => {
  try {
    const json: unknown = JSON.parse(line)
    return typeof json === 'object' && json !== null && ['prompt', 'instruction', 'messages'].some((name) => Object.hasOwn(json, name))
  } catch {
    return false
  }
}

const readStandardInput = async (): Promise<string> => {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of standardInput() as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > promptsLimit) throw inputError('standard input', `at most ${promptsLimit} bytes`, 'more')
    chunks.push(chunk)
  }
  return decodeUtf8(Buffer.concat(chunks), 'standard input', 'text')
}

const parseLines = (text: string, file: string, template: PromptTemplate | null): readonly GivenPrompt[] =>
  nonBlankLines(text, file).map(({ where, line }) => parseLine(line, where, template))

/** @throws InputError if there is none */
const nonBlankLines = (text: string, file: string): readonly { readonly where: string; readonly line: string }[] => {
  const lines = text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((line, i) => ({ where: `${file}, line ${i + 1}`, line: line.trim() }))
    .filter(({ line }) => line !== '')
  if (lines.length === 0) throw inputError(file, 'one prompt per line, as {"prompt": TEXT}', 'none')
  return lines
}

const [longestPrompt, mostMessages] = [10_000_000, 10_000]
const row = z.object({
  prompt: z.string().min(1).max(longestPrompt).optional(),
  instruction: z.string().min(1).max(longestPrompt).optional(),
  input: z.string().max(longestPrompt).nullish(),
  messages: z
    .array(z.object({ role: z.string().min(1).max(100), content: z.string().max(longestPrompt) }))
    .min(1)
    .max(mostMessages)
    .optional(),
})

const parseLine = (line: string, where: string, template: PromptTemplate | null): GivenPrompt => {
  const { prompt, instruction, input, messages } = validate(row, parseJson(line, where), where, 'a prompt')
  if (prompt !== undefined) return { where, prompt: { text: prompt }, shown: prompt }
  if (messages !== undefined) return { where, prompt: { messages }, shown: messages }
  if (instruction !== undefined)
    return { where, prompt: { ...(template === null ? {} : { template }), instruction, input: input ?? '' }, shown: instruction }
  throw inputError(where, '"prompt", "instruction" or "messages"', quoted(line))
}

// Standard input of a command. Node reads a folder there as an empty text, so it is refused here.
/** The bytes of standard input. @throws InputError if it is a folder */
export const standardInput = (): NodeJS.ReadStream => {
  const { stdin } = process
  if (isFolder(stdin.fd)) throw inputError('standard input', 'a text (from a pipe, or < FILE)', 'a folder')
  return stdin
}

/** A stream that is no file of the system has no number, and a closed one no status. */
const isFolder = (fd: number | undefined): boolean => {
  try {
    return fd !== undefined && fstatSync(fd).isDirectory()
  } catch {
    return false
  }
}

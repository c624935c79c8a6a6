/** Prompts: the one of --prompt, or those of a file of JSON lines. */
import { mistake, quoted } from '../accelerated/files/mistake.js'
import { readText } from '../accelerated/files/jsonText.js'
import type { Values } from './flagValues.js'
import { usageError } from './usageError.js'

/** `where` is its place in messages. */
export type GivenPrompt = { readonly where: string; readonly text: string }

/** Bytes of a file of prompts. */
const promptsLimit = 1_000_000_000

/** @throws UsageError or Mistake with one line */
export const promptsOf = async (given: Values): Promise<ReadonlyArray<GivenPrompt>> => {
  const [prompt, input] = [given['prompt'], given['input']]
  if (prompt !== undefined && input !== undefined) throw usageError('--prompt', 'either --prompt or --input', 'both')
  if (typeof prompt === 'string') {
    if (prompt === '') throw usageError('--prompt', 'a text', 'an empty one')
    return [{ where: '--prompt', text: prompt }]
  }
  if (typeof input !== 'string') throw usageError('--prompt', 'a text (or --input, a file of them)', 'none given')
  return linesOf(await readText(input, promptsLimit), input)
}

const linesOf = (text: string, file: string): ReadonlyArray<GivenPrompt> => {
  const lines = text
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((line, i) => ({ where: `${file}, line ${i + 1}`, line: line.trim() }))
    .filter(({ line }) => line !== '')
  if (lines.length === 0) throw mistake(file, 'a prompt a line, as {"prompt": TEXT}', 'none')
  return lines.map(({ where, line }) => ({ where, text: promptIn(line, where) }))
}

const promptIn = (line: string, where: string): string => {
  const value = parsed(line, where)
  const prompt = typeof value === 'object' && value !== null && 'prompt' in value ? value.prompt : undefined
  if (typeof prompt === 'string' && prompt !== '') return prompt
  throw mistake(where, 'an object with a text "prompt"', prompt === '' ? 'an empty one' : quoted(line))
}

const parsed = (line: string, where: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    throw mistake(where, 'an object with a text "prompt"', quoted(line))
  }
}

/** Samples on the terminal: a line each, with the end of the prompt and the beginning of the text. All of them are in metrics.jsonl. */
import { oneLine } from '../../accelerated/errors/inputError.js'
import type { Sample } from '../../accelerated/training/events.js'

const [shownSamples, promptLength, textLength] = [4, 30, 80]

export const samplesText = (samples: readonly Sample[]): string => {
  const lines = samples.slice(0, shownSamples).map(({ prompt, text }) => `  ${endOf(wordsOf(prompt))} → ${beginningOf(text)}`)
  const more = samples.length - shownSamples
  return [...lines, ...(more > 0 ? [`  and ${more} more in metrics.jsonl`] : [])].join('\n')
}

/** The text of a prompt; of a conversation, that of its last message. */
const wordsOf = (prompt: unknown): string => {
  const last: unknown = Array.isArray(prompt) ? prompt.at(-1) : prompt
  return typeof last === 'object' && last !== null && 'content' in last ? String(last.content) : String(last)
}

const characters = (text: string): readonly string[] => Array.from(oneLine(text.trim().replace(/\s+/g, ' ')))

const endOf = (text: string): string => {
  const all = characters(text)
  return all.length > promptLength ? `…${all.slice(1 - promptLength).join('')}` : all.join('')
}

const beginningOf = (text: string): string => {
  const all = characters(text)
  if (all.length === 0) return '(nothing)'
  return all.length > textLength ? `${all.slice(0, textLength - 1).join('')}…` : all.join('')
}

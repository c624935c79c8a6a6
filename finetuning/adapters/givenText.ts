/** Texts that a program hands to an open model, checked: a caller in JavaScript has no types, and a number has no tokens. */
import { inputError, shown } from '../../accelerated/errors/inputError.js'
import type { Text } from '../tasks/taskType.js'

/** @throws InputError for what is no list, and for the first element that is no text */
export const givenTexts = (given: unknown): ReadonlyArray<Text> => {
  if (!Array.isArray(given)) throw inputError('texts', 'a list such as [{ text: "…" }]', shown(given))
  return given.map((one: unknown, i) => givenText(one, `texts[${i}]`))
}

/** @throws InputError */
export const givenText = (given: unknown, where = 'text'): Text => {
  if (typeof given !== 'object' || given === null) throw inputError(where, 'an object with a text, such as { text: "…" }', shown(given))
  const { text, textPair } = given as Readonly<Record<string, unknown>>
  if (typeof text !== 'string')
    throw inputError(where, 'an object with a text, such as { text: "…" }', shown(text === undefined ? given : text))
  if (textPair !== undefined && typeof textPair !== 'string') throw inputError(`${where}.textPair`, 'a text, or none', shown(textPair))
  return given as Text
}

/** Errors of one run or file must not end a report or a board: they become a line to show. */
import { InputError } from '../../accelerated/errors/inputError.js'

/** @returns the result with null, or null with the message of the InputError that `run` throws */
export const resultOrMessage = async <Result>(run: () => Promise<Result>): Promise<readonly [Result, null] | readonly [null, string]> => {
  try {
    return [await run(), null]
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    return [null, thrown.message]
  }
}

/** What a reader says about wrong input. */
import { InputError } from '../../accelerated/errors/inputError.js'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'

/** The line, on the command line, of the InputError that `read` throws, or 'no problem'. Any other error is thrown on. */
export const refusalOf = async (read: () => unknown): Promise<string> => {
  try {
    await read()
    return 'no problem'
  } catch (thrown) {
    if (thrown instanceof InputError) return lineInFlags(thrown)
    throw thrown
  }
}

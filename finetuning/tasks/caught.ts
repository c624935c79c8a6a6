/** A reader that throws its mistake, as one that hands it back: what a kind of tasks answers with. */
import * as E from 'fp-ts/lib/Either.js'
import { InputError } from '../../accelerated/errors/inputError.js'

/** What `work` gives, or the Mistake that it throws; any other error is a defect and is thrown on. */
export const asEither = async <T>(work: () => Promise<T>): Promise<E.Either<InputError, T>> => {
  try {
    return E.right(await work())
  } catch (thrown) {
    if (thrown instanceof InputError) return E.left(thrown)
    throw thrown
  }
}

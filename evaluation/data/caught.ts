/** A reader that throws its mistake, as one that hands it back: what a kind of tasks answers with. */
import * as E from 'fp-ts/lib/Either.js'
import { Mistake } from '../../accelerated/files/mistake.js'

/** What `work` gives, or the Mistake that it throws; any other error is a defect and is thrown on. */
export const caught = async <T>(work: () => Promise<T>): Promise<E.Either<Mistake, T>> => {
  try {
    return E.right(await work())
  } catch (thrown) {
    if (thrown instanceof Mistake) return E.left(thrown)
    throw thrown
  }
}

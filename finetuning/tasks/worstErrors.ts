/** The order of errors: the largest loss first, and of equal losses the first example. */
import type { EvaluationError } from './taskType.js'

/** The `count` worst errors; a loss that is not finite is none. */
export const worstOf = <E extends Pick<EvaluationError, 'index' | 'loss'>>(errors: ReadonlyArray<E>, count: number): ReadonlyArray<E> =>
  errors
    .filter(({ loss }) => Number.isFinite(loss))
    .sort((a, b) => b.loss - a.loss || a.index - b.index)
    .slice(0, count)

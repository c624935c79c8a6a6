/** Where a run stands, from the signs in its folder alone. */
import { patience, type Claimant } from '../../accelerated/storage/folderLock.js'

/**
 * waiting: nothing in it yet · running: a living process claims it · interrupted: stopped, saved, to be gone on with · finished · failed: an error
 * ended it · lost: its process is gone without a word · unreadable: a file of it is none of a run
 */
export const runStates = ['running', 'waiting', 'failed', 'lost', 'interrupted', 'unreadable', 'finished'] as const
export type RunState = (typeof runStates)[number]

export type Signs = {
  readonly config: boolean
  readonly result: { readonly interrupted: boolean } | null
  readonly claims: ReadonlyArray<Pick<Claimant, 'lives' | 'silent'>>
  /** a sweep wrote down what ended this cell */
  readonly failed: boolean
  /** a file of it is broken */
  readonly broken: boolean
}

/** A claim that nothing else is known of counts for as long as the lock itself lets it. */
const counts = ({ lives, silent }: Signs['claims'][number]): boolean => lives ?? silent <= patience.silence

export const stateOf = ({ config, result, claims, failed, broken }: Signs): RunState => {
  if (result?.interrupted === false) return 'finished'
  if (claims.some(counts)) return 'running'
  if (broken) return 'unreadable'
  if (result !== null) return 'interrupted'
  if (failed) return 'failed'
  if (claims.length > 0) return 'lost'
  return config ? 'failed' : 'waiting' // a run that ends by an error takes its claim back, and leaves no result
}

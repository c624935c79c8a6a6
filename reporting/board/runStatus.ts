/** The status of a run, from the files in its folder. */
import { patience, type Claimant } from '../../accelerated/storage/folderLock.js'
import type { RunStatus } from './events.js'

export type RunSigns = {
  readonly hasConfig: boolean
  readonly result: { readonly interrupted: boolean } | null
  readonly locks: ReadonlyArray<Pick<Claimant, 'lives' | 'silent'>>
  /** whether its sweep recorded an error for this cell */
  readonly hasFailed: boolean
  /** whether one of its files is invalid */
  readonly isDamaged: boolean
}

/** If the process cannot be checked from here, its lock counts for as long as it is renewed. */
const isHeld = ({ lives, silent }: RunSigns['locks'][number]): boolean => lives ?? silent <= patience.silence

export const statusOf = ({ hasConfig, result, locks, hasFailed, isDamaged }: RunSigns): RunStatus => {
  if (result?.interrupted === false) return 'finished'
  if (locks.some(isHeld)) return 'running'
  if (isDamaged) return 'unreadable'
  if (result !== null) return 'interrupted'
  if (hasFailed) return 'failed'
  if (locks.length > 0) return 'crashed'
  return hasConfig ? 'failed' : 'waiting' // a run that ends with an error removes its lock, and writes no result
}

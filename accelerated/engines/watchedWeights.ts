/**
 * Frozen weights that are checked while sessions use them. Engines map their files into memory, so that a program that writes into one changes the
 * numbers of every open session, and one that truncates it kills the process at the next read.
 */
import type { WeightSource } from './engine.js'

export type WatchedWeights = {
  /** for sessions */
  readonly weights: WeightSource
  /** A look at the files, once a session has them. Before work it avoids the kill, after work it proves the numbers. @throws ChangedFileError */
  readonly check: () => Promise<void>
}

export const watchedWeights = (source: WeightSource): WatchedWeights => {
  let isRead = false
  return {
    weights: () => {
      isRead = true
      return source()
    },
    check: async () => {
      if (isRead) await source()
    },
  }
}

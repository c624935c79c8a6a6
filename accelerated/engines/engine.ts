/**
 * The engine: it compiles expressions and runs them. Training knows this type and no runtime.
 *
 * This folder has everything that depends on a runtime or a device. What a graph computes belongs in graph/ and in the folders that build graphs.
 */
import type { Outputs } from '../graph/expression.js'
import type { Feed, Feeds, NumericArray } from './feeds.js'
import type { Placement } from './placement.js'

/** Reads a file of frozen weights, whole. */
export type ReadWeights = (location: string) => Promise<Uint8Array>

/**
 * Resolves to the folder of the files that frozen weights refer to by `location`. An engine maps these files, so that sessions share their
 * pages. For files of a storage that cannot be mapped, it resolves to a function that reads them. Called only for a graph with frozen weights,
 * and again to check their files.
 * @throws ChangedFileError if the files have changed
 */
export type WeightSource = () => Promise<string | ReadWeights>

export type Results = Readonly<Record<string, NumericArray>>

export type Session = {
  /**
   * Runs the graph once.
   * @param into buffers for some of the outputs; the result then holds these buffers. A buffer may be that of an input that only this output's
   * own chain of element-wise operators reads. Engines that cannot write into buffers ignore it.
   */
  readonly run: (feeds: Feeds, into?: Readonly<Record<string, Feed>>) => Promise<Results>
  /** Copies the carried outputs of the last run from the device (see OpenOptions.carry). Absent: the session carries none. */
  readonly carried?: () => Promise<Results>
  /** A session of the same compiled graph with a state of its own on the device; release it first. Absent: the session keeps none there. */
  readonly another?: () => Session
  readonly inputs: readonly string[]
  readonly release: () => Promise<void>
}

export type OpenOptions = {
  /**
   * Whether the engine may keep large weights a second time, reordered for its products (default: true). Training and its evaluation pass false:
   * they hold two sessions at once, a step multiplies from both sides, and batches of many rows gain little.
   */
  readonly prepack?: boolean
  /**
   * 'decode' is for many short runs: the caller brings buffers for every output, and idle threads sleep instead of spinning (default: 'batch').
   */
  readonly mode?: 'batch' | 'decode'
  /**
   * By output, the input that takes it in the next run. An engine that can keep them on its device returns none of these outputs, and a later run
   * may leave these inputs out. Other engines ignore it, and return every output.
   */
  readonly carry?: Readonly<Record<string, string>>
  /** Sessions that are opened with the same object take what the others carry, by the names of their inputs. */
  readonly carriedIn?: object
  /**
   * Inputs that have the same numbers in every run that feeds them. An engine that carries outputs copies these numbers to its device once. A run
   * that leaves one out takes the output that is carried to it.
   */
  readonly fixed?: readonly string[]
}

export type Engine = {
  /** whether its graphs may have attention over a cache in one node, in float32 (default: no) */
  readonly cachedAttention?: boolean
  /** whether its graphs may run parts of themselves block by block (default: no) */
  readonly scan?: boolean
  /** whether openings of equal graphs share a session (default: no) */
  readonly sharesSessions?: boolean
  /**
   * Compiles the graph of `outputs`.
   * @throws Error if the runtime refuses the graph or the device does not work here
   */
  readonly open: (outputs: Outputs, weights: WeightSource, options?: OpenOptions) => Promise<Session>
}

export type EngineSettings = {
  /** CPU threads (0: chosen by the runtime) */
  readonly threads: number
  /** the number of the card, where the device has several (default: 0) */
  readonly deviceId?: number
  /** whether products of float32 numbers may use TF32, where the device has it (default: no) */
  readonly tf32?: boolean
  /** path prefix of profiles: a session writes the time of each node there when it is released */
  readonly profile?: string
  /**
   * Called once for each session of a device that ONNX Runtime may replace by the CPU, after its first run, with where its nodes ran. null: there is
   * no profile that can be read. What it throws, the run throws. Absent: nobody asks, and nothing is looked up.
   */
  readonly onPlacement?: (placement: Placement | null) => void
}

export const noWeights: WeightSource = async () => {
  throw new Error('noWeights: expected a graph without frozen weights, got one with some')
}

// Frozen weights that are checked while sessions use them. Engines map their files into memory, so that a program that writes into one changes the
// numbers of every open session, and one that truncates it kills the process at the next read.
type WatchedWeights = {
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

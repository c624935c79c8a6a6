/** The engine: what compiles expressions and runs them, wherever that is. Training knows this type and no runtime. */
import type { Expression } from '../graph/expression.js'
import type { Feed, Feeds, NumericArray } from './feeds.js'

/**
 * The folder in which the files lie that frozen weights refer to by `location`; asked for where a graph has some, and not before. Engines read
 * out of the files themselves, so that sessions share what the system holds of them. @throws Mistake where the files are not what they were
 */
export type WeightSource = () => Promise<string>

export type Results = Readonly<Record<string, NumericArray>>

export type Session = {
  /**
   * `into`: memory of the caller's for some of the outputs, which is then what the result holds. It may be that of an input that nothing
   * but this output's own chain of element-wise operators reads; engines that cannot do that ignore it.
   */
  readonly run: (feeds: Feeds, into?: Readonly<Record<string, Feed>>) => Promise<Results>
  readonly inputs: ReadonlyArray<string>
  readonly release: () => Promise<void>
}

export type Engine = {
  /**
   * Compiles the graph of `outputs`. An engine may keep weights once more, in the order that suits its products; with `sparing` not where they
   * are large: a run has two sessions, that of training multiplies from both sides, and batches of many rows gain little. With `stepwise`,
   * runs are short and many: each brings memory for every output, and threads sleep while there is nothing to do.
   * @throws when the provider refuses the graph or the device does not work here
   */
  readonly open: (outputs: Readonly<Record<string, Expression>>, weights: WeightSource, use?: 'sparing' | 'stepwise') => Promise<Session>
}

export const noWeights: WeightSource = async () => {
  throw new Error('noWeights: expected a graph without frozen weights, got some')
}

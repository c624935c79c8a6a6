/** The engine: what compiles expressions and runs them, wherever that is. Training knows this type and no runtime. */
import type { Expression } from '../graph/expression.js'
import type { Feed, Feeds, NumericArray } from './feeds.js'

/** A file that weights refer to by `location`, and its bytes. */
export type WeightFile = { readonly location: string; readonly bytes: Uint8Array }

/** The files of a model's frozen weights; asked for where a graph has some, and not before. */
export type WeightSource = () => Promise<ReadonlyArray<WeightFile>>

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
  /** Compiles the graph of `outputs`. @throws when the provider refuses the graph or the device does not work here */
  readonly open: (outputs: Readonly<Record<string, Expression>>, weights: WeightSource) => Promise<Session>
}

export const noWeights: WeightSource = async () => []

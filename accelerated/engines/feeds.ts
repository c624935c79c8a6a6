/** Feeds: the named arrays that a graph takes as inputs, with their shapes. */
import type { FloatType } from '../graph/expression.js'

export type NumericArray = Float32Array | Float64Array | Int32Array | BigInt64Array
export type Feed = { readonly data: NumericArray; readonly shape: readonly number[] }
export type Feeds = Readonly<Record<string, Feed>>

/** Numbers in the graph's dtype; an array that has it already is not copied. */
export const floatFeed = (data: ArrayLike<number>, shape: readonly number[], dtype: FloatType): Feed => ({
  data:
    dtype === 'float64'
      ? data instanceof Float64Array
        ? data
        : Float64Array.from(data)
      : data instanceof Float32Array
        ? data
        : Float32Array.from(data),
  shape,
})

export const scalarFeed = (value: number, dtype: FloatType): Feed => floatFeed([value], [], dtype)

export const int32Feed = (data: Int32Array, shape: readonly number[] = [data.length]): Feed => ({ data, shape })

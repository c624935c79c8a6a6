/** Frozen weights of 16 bits as float32, for a device without their arithmetic: no value of its graph then has 16 bits. */
import { rewrite, type DType, type Expression, type Outputs } from '../graph/expression.js'
import { fromBfloat16, fromFloat16 } from '../storage/float16.js'
import type { ReadWeights, WeightSource } from './engine.js'

type HalfType = 'float16' | 'bfloat16'

/** The numbers of 16-bit patterns. */
const converters: Readonly<Record<HalfType, (patterns: Uint16Array) => Float32Array>> = { float16: fromFloat16, bfloat16: fromBfloat16 }

/** A tensor in its own file, and its first number in the wider one. */
type Place = { readonly dtype: HalfType; readonly offset: number; readonly length: number; readonly first: number }

const widerFile = (location: string): string => `float32 of ${location}`

/**
 * The graph with frozen weights of these types in float32 and without their casts, and a source that has them. The source converts each file as it
 * is read. The numbers are the same. @param weights reads files: a folder cannot be mapped in another type
 */
export const widened = (outputs: Outputs, weights: WeightSource, types: readonly DType[]): readonly [Outputs, WeightSource] => {
  const places = new Map<string, Map<number, Place>>()
  const wider = rewrite(outputs, (node, same) => widerNode(node, same, types, places))
  return places.size === 0 ? [outputs, weights] : [wider, widerSource(weights, places)]
}

const widerNode = (node: Expression, same: Expression, types: readonly DType[], places: Map<string, Map<number, Place>>): Expression => {
  const { op, attributes, dtype } = node
  if (op === 'Weight' && attributes.external !== undefined && isHalf(dtype) && types.includes(dtype)) {
    const { location, offset, length } = attributes.external
    const ofFile = places.get(location) ?? new Map<number, Place>()
    places.set(location, ofFile)
    const place = ofFile.get(offset) ?? { dtype, offset, length, first: numbersIn(ofFile) }
    ofFile.set(offset, place)
    const external = { location: widerFile(location), offset: 4 * place.first, length: 2 * length }
    return { ...node, dtype: 'float32', attributes: { ...attributes, external } }
  }
  if (same === node) return node
  const [x] = same.inputs
  if (op === 'Cast' && x?.dtype === dtype) return x
  return { ...same, dtype: types.includes(dtype) ? 'float32' : dtype } // such as rows of a table, before their cast
}

const isHalf = (dtype: DType): dtype is HalfType => dtype === 'float16' || dtype === 'bfloat16'

const numbersIn = (places: ReadonlyMap<number, Place>): number => [...places.values()].reduce((sum, { length }) => sum + length / 2, 0)

const widerSource =
  (weights: WeightSource, places: ReadonlyMap<string, ReadonlyMap<number, Place>>): WeightSource =>
  async () => {
    const read = await weights()
    if (typeof read === 'string') throw new Error(`widened: expected a source that reads files, got the folder ${read}`)
    const wider = new Map([...places].map(([location, ofFile]) => [widerFile(location), { location, ofFile }] as const))
    const readWider: ReadWeights = async (file) => {
      const known = wider.get(file)
      return known === undefined ? read(file) : widerBytes(await read(known.location), known.ofFile)
    }
    return readWider
  }

const widerBytes = (bytes: Uint8Array, places: ReadonlyMap<number, Place>): Uint8Array => {
  const numbers = new Float32Array(numbersIn(places))
  for (const { dtype, offset, length, first } of places.values())
    numbers.set(converters[dtype](new Uint16Array(new Uint8Array(bytes.subarray(offset, offset + length)).buffer)), first)
  return new Uint8Array(numbers.buffer)
}

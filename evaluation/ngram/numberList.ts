/** Typed arrays that grow: their length doubles when they are full. */

export type NumberList<A extends Uint32Array | Float32Array> = {
  readonly push: (value: number) => void
  readonly length: () => number
  /** the numbers so far, without a copy */
  readonly numbers: () => A
}

const first = 1 << 10

const listOf = <A extends Uint32Array | Float32Array>(make: (length: number) => A): NumberList<A> => {
  let array = make(first)
  let length = 0
  return {
    push: (value) => {
      if (length === array.length) {
        const larger = make(2 * length)
        larger.set(array)
        array = larger
      }
      array[length++] = value
    },
    length: () => length,
    numbers: () => array.subarray(0, length) as A,
  }
}

export const uint32List = (): NumberList<Uint32Array> => listOf((length) => new Uint32Array(length))
export const float32List = (): NumberList<Float32Array> => listOf((length) => new Float32Array(length))

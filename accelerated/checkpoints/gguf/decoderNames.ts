/** The names of a model's tensors in llama.cpp, and the order of rows that it has there. */
import type { Model } from '../../models/architecture.js'
import type { GgufFamily } from '../../models/gguf.js'
import { architectures } from '../../models/index.js'

/** The family's entry; null if salora has none of its files. */
export const findGguf = ({ type }: Pick<Model, 'type'>): GgufFamily | null =>
  architectures.find(({ modelTypes }) => modelTypes.includes(type))?.gguf ?? null

/** @throws Error for a family without files */
export const requireGguf = (model: Pick<Model, 'type'>): GgufFamily => {
  const gguf = findGguf(model)
  if (gguf === null) throw new Error(`requireGguf: expected a family that llama.cpp has, got ${model.type}`)
  return gguf
}

/** `layers.3.self_attn.q_proj.weight` → `blk.3.attn_q.weight`. @throws Error for a tensor that the family does not have */
export const ggufName = (name: string, model: Pick<Model, 'type'>): string => {
  const [, layer, module = '', kind = ''] = /^(?:[a-z]+\.(\d+)\.)?([\w.]+)\.(weight|bias)$/.exec(name) ?? []
  const { names } = requireGguf(model)
  const written = Object.hasOwn(names, module) ? names[module] : undefined
  if (written === undefined) throw new Error(`ggufName: expected a tensor of a decoder, got ${name}`)
  return layer === undefined ? `${written}.${kind}` : `blk.${layer}.${written}.${kind}`
}

/** → the size of a head if llama.cpp has `matrix` in another order of rows, else null */
export const permutedHeads = ({ type, spec }: Pick<Model, 'type' | 'spec'>, matrix: string): number | null =>
  findGguf({ type })?.interleaved?.test(matrix) === true ? (spec.layers[0]?.headSize ?? null) : null

/** → what llama.cpp's files add to each number of `tensor` */
export const ggufOffset = (model: Pick<Model, 'type'>, tensor: string): 0 | 1 =>
  tensor.endsWith('norm.weight') ? (findGguf(model)?.normOffset ?? 0) : 0

/** Numbers, or bytes that hold them: a width is then in bytes. */
type Rows = Float32Array | Float64Array | Uint8Array

/** Rows 0, h/2, 1, h/2 + 1, … of each head of h rows. data: [rows, width] → [rows, width] */
export const interleaveHeads = <T extends Rows>(data: T, width: number, headSize: number): T =>
  movedRows(data, width, (row) => {
    const [inHead, half] = [row % headSize, headSize / 2]
    return row - inHead + (inHead % 2) * half + Math.floor(inHead / 2)
  })

/** The inverse of interleaveHeads. */
export const separateHeads = <T extends Rows>(data: T, width: number, headSize: number): T =>
  movedRows(data, width, (row) => {
    const [inHead, half] = [row % headSize, headSize / 2]
    return row - inHead + (inHead % half) * 2 + Math.floor(inHead / half)
  })

/** @param from the row of `data` that comes to a row of the result */
const movedRows = <T extends Rows>(data: T, width: number, from: (row: number) => number): T => {
  const moved = data.slice() as T
  for (let row = 0; row * width < data.length; row++) moved.set(data.subarray(from(row) * width, (from(row) + 1) * width), row * width)
  return moved
}

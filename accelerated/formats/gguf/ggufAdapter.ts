/** A low-rank adapter in GGUF, as llama.cpp reads it beside a base model: adapter.gguf. */
import { findGguf, ggufName, interleaveHeads, permutedHeads, requireGguf, separateHeads } from '../../checkpoints/gguf/decoderNames.js'
import { type GgufHeader, readGguf, ggufAdapterFile } from '../../checkpoints/gguf/ggufHeader.js'
import { ggufChunks, type WrittenTensor } from '../../checkpoints/gguf/writeGguf.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { encode } from '../../checkpoints/safetensors/writeSafetensors.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { showShape } from '../../graph/expression.js'
import { loraScale, type LoraPhase } from '../../methods/lora.js'
import type { AdaptedMatrix } from '../../methods/lowRank.js'
import type { Matrix, Model } from '../../models/architecture.js'
import type { WrittenKeys } from '../../models/gguf.js'
import { causalOutputs } from '../../models/modelOutputs.js'
import { fileInFolder, joinPath } from '../../storage/paths.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import type { Storage } from '../../storage/storage.js'
import { findMethod, resolveSettings } from '../../training/resolveSettings.js'
import type { Adapter, Weights } from '../adapter.js'
import { readWeights } from '../adapterTensors.js'
import { checkFloat16 } from '../mergedWeights.js'
import type { WrittenPrecision } from '../modelConfig.js'
import { emptyPair, padPair, pairRank, type LowRankPair } from '../peft/peft.js'
import { changesTables, hasBiases, toLowRankAdapter } from '../peft/lora.js'

/** Why llama.cpp cannot have a model, as `a model of …`; null if it has. */
export const findLlamaCppObstacle = ({ model, outputs }: Pick<Adapter, 'model' | 'outputs'>): string | null => {
  if (model.spec.kind === 'encoder') return `a model of type ${model.type}, which llama.cpp does not generate text with`
  if (findGguf(model) === null) return `a model of type ${model.type}, whose layout in llama.cpp salora does not write`
  return outputs.head === 'causal' ? null : 'a classifier, whose head llama.cpp does not have'
}

/** What llama.cpp cannot read of an adapter; null if it reads all of it. `asLora` is the adapter as plain LoRA, if it has that form. */
export const notForLlamaCpp = (adapter: Adapter, asLora: Adapter | undefined): string | null => {
  const { head, method } = adapter
  const ofModel = findLlamaCppObstacle(adapter)
  if (ofModel !== null) return ofModel
  if (asLora === undefined) return `an adapter of method ${method.name}: llama.cpp reads LoRA only`
  if (asLora.settings['useDora'] === true) return 'an adapter with magnitudes (DoRA), which llama.cpp does not read'
  if (hasBiases(asLora.phase)) return 'an adapter with trained biases, which llama.cpp does not read'
  if (method.tokens !== undefined) return 'an adapter with rows of tokens, which llama.cpp does not read'
  const ofTables = changesTables(asLora)
  if (ofTables !== null) return `${ofTables}, which salora writes for llama.cpp merged only`
  return head.size > 0 ? `an adapter with whole matrices (${[...head.keys()].join(', ')}), which llama.cpp does not read` : null
}

/**
 * Writes adapter.gguf into an existing folder, for an adapter that `notForLlamaCpp` allows. llama.cpp scales each pair by alpha / its own rank, so
 * B is multiplied by what is missing to the adapter's scale. Matrices of rank 0 are left out.
 * @param asLora the adapter as plain LoRA @throws InputError for a number beyond the precision's range
 */
export const writeGgufAdapter = async (
  folder: string,
  asLora: Adapter,
  precision: WrittenPrecision,
  storage: Storage = nodeFiles,
): Promise<void> => {
  const { model, modules, rank, alpha, rslora = false } = toLowRankAdapter(asLora)
  const file = joinPath(folder, ggufAdapterFile)
  const scale = loraScale({ rank, loraAlpha: alpha, useRslora: rslora })
  const keys: WrittenKeys = [
    ['general.architecture', { type: 'string', value: requireGguf(model).architecture }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'float32', value: alpha }],
  ]
  const type = precision === 'float16' ? 'F16' : 'F32'
  const tensor = (name: string, shape: readonly number[], numbers: () => Float32Array | Float64Array): WrittenTensor => ({
    name,
    shape,
    type,
    bytes: async () => {
      const data = numbers()
      if (type === 'F16') checkFloat16(data, name, file)
      return encode({ shape, data, dtype: type })
    },
  })
  const tensors = writtenPairs(model, modules).flatMap(([{ name }, { A, B }]) => {
    const [at, factor] = [ggufName(`${name}.weight`, model), (scale * pairRank({ A, B })) / Math.fround(alpha)]
    const scaled = (): Float64Array => Float64Array.from(ordered(model, name, B), (b) => factor * b)
    return [tensor(`${at}.lora_a`, A.shape, () => A.data), tensor(`${at}.lora_b`, B.shape, scaled)]
  })
  await storage.write(file, ggufChunks(keys, tensors))
}

/** In layer order. llama.cpp refuses a file without tensors, so an adapter of rank 0 everywhere has one pair of zeros. */
const writtenPairs = (
  { spec: { matrices } }: Model,
  modules: ReadonlyMap<string, LowRankPair>,
): readonly (readonly [Matrix, LowRankPair])[] => {
  const kept = matrices.flatMap((matrix) => {
    const pair = modules.get(matrix.name)
    return pair === undefined || pairRank(pair) === 0 ? [] : [[matrix, pair] as const]
  })
  return kept.length > 0 ? kept : matrices.slice(0, 1).map((matrix) => [matrix, padPair(emptyPair(matrix), 1)] as const)
}

/** The rows of B in llama.cpp's order. */
const ordered = (model: Model, matrix: string, { shape: [, width = 0], data }: Weights): Float32Array => {
  const headSize = permutedHeads(model, matrix)
  return headSize === null ? data : interleaveHeads(data, width, headSize)
}

/**
 * The adapter in a folder's adapter.gguf, ours or one that llama.cpp's script made; null without this file.
 * @throws InputError if it is none of LoRA, or does not fit the model
 */
export const readGgufAdapter = async (folder: string, { model, baseModelName }: ModelFolder, storage: Storage): Promise<Adapter | null> => {
  const file = await fileInFolder(folder, ggufAdapterFile, storage)
  if (file === undefined) return null
  const header = await readGguf(file, storage)
  const alpha = readAlpha(header, model, file)
  const pairs = await readPairs(header, model, file, storage)
  const rank = Math.max(...pairs.map(([, pair]) => pairRank(pair)))
  const settings = { ...resolveSettings({ method: 'lora' }), rank, loraAlpha: alpha ?? rank }
  const phase: LoraPhase = { matrices: pairs.map(([matrix]) => matrix) }
  const tensors = pairs.flatMap(([{ name, r }, { A, B }]): readonly (readonly [string, Weights])[] => {
    const factor = alpha === null ? 1 : rank / r
    return [
      [`${name}.A`, A],
      [`${name}.B`, { ...B, data: B.data.map((b) => factor * b) }],
    ]
  })
  return {
    ...{ model, baseModelName, method: findMethod('lora'), settings, phase, tensors: new Map(tensors) },
    ...{ outputs: causalOutputs, head: new Map(), labelNames: undefined },
  }
}

/** llama.cpp's alpha; null, or 0: B has the scale already. */
const readAlpha = ({ keys }: GgufHeader, model: Model, file: string): number | null => {
  const [architecture, expected] = [keys.get('general.architecture'), findGguf(model)?.architecture]
  if (expected === undefined || architecture !== expected)
    throw inputError(file, `an adapter of a model of type ${model.type}`, `one of architecture ${quoted(String(architecture))}`)
  if (keys.get('adapter.type') !== 'lora') throw inputError(file, 'adapter.type lora', quoted(String(keys.get('adapter.type'))))
  const alpha = keys.get('adapter.lora.alpha') ?? 0
  if (typeof alpha !== 'number' || !Number.isFinite(alpha) || alpha < 0)
    throw inputError(file, 'adapter.lora.alpha of at least 0', String(alpha))
  return alpha === 0 ? null : alpha
}

type Pairs = readonly (readonly [AdaptedMatrix, LowRankPair])[]

const readPairs = async ({ tensors }: GgufHeader, model: Model, file: string, storage: Storage): Promise<Pairs> => {
  const names = model.spec.matrices.map((matrix) => ({ matrix, at: ggufName(`${matrix.name}.weight`, model) }))
  const known = new Set(names.flatMap(({ at }) => [`${at}.lora_a`, `${at}.lora_b`]))
  const stray = [...tensors.keys()].find((name) => !known.has(name))
  if (stray !== undefined) throw inputError(file, "pairs of the model's adapted matrices", quoted(stray))
  const read = async (name: string, shape: (stored: readonly number[]) => readonly number[]): Promise<Weights> => {
    const entry = tensors.get(name)
    if (entry === undefined) throw inputError(file, `tensor ${name}`, 'none of that name')
    const { type, ...place } = entry
    if (type !== 'F32' && type !== 'F16' && type !== 'BF16') throw inputError(file, `tensor ${name} in F32, F16 or BF16`, type)
    const expected = shape(entry.shape)
    if (expected.join() !== entry.shape.join())
      throw inputError(file, `tensor ${name} of shape ${showShape(expected)}`, showShape(entry.shape))
    return readWeights({ ...place, dtype: type, storage })
  }
  const pairs: (readonly [AdaptedMatrix, LowRankPair])[] = []
  for (const { matrix, at } of names) {
    if (!tensors.has(`${at}.lora_a`) && !tensors.has(`${at}.lora_b`)) continue
    const A = await read(`${at}.lora_a`, ([r = 1]) => [Math.max(1, r), matrix.k])
    const r = pairRank({ A, B: A })
    const B = await read(`${at}.lora_b`, () => [matrix.d, r])
    const headSize = permutedHeads(model, matrix.name)
    pairs.push([
      { ...matrix, r },
      { A, B: headSize === null ? B : { ...B, data: separateHeads(B.data, r, headSize) } },
    ])
  }
  if (pairs.length === 0) throw inputError(file, "pairs of the model's adapted matrices", 'none')
  return pairs
}

/** Adapters on disk in PEFT's layout: adapter_config.json and adapter_model.safetensors, which PEFT loads unchanged. */
import { join } from 'node:path'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { writeSafetensors, type WritableTensor } from '../../checkpoints/safetensors/writeSafetensors.js'
import type { Model } from '../../models/architecture.js'
import { headOf } from '../../objectives/taskType.js'
import type { Weights } from '../adapter.js'
import { namesFile, namesText } from '../adapterTensors.js'
import { emptyPair, padPair, rankOf, type LowRankAdapter, type LowRankPair } from './lowRankAdapter.js'
import { fansInOut, peftConfigText } from './peftConfig.js'

/** The names of an adapter's files. */
export const adapterFiles = { config: 'adapter_config.json', weights: 'adapter_model.safetensors', names: namesFile } as const

/** Before every tensor's name, from the two wrappers that PEFT puts around a model. */
export const peftPrefix = 'base_model.model.'

/** What an adapter's files hold. */
export type AdapterContents = { readonly configText: string; readonly weights: Uint8Array; readonly namesText: string }

/** Writes the adapter's files into an existing folder, each whole or not at all; the configuration last. Throws Mistake. */
export const saveAdapter = (folder: string, adapter: LowRankAdapter): Promise<void> => writeContents(folder, peftFiles(adapter))

export const writeContents = async (folder: string, files: AdapterContents): Promise<void> => {
  await writeFileAtomically(join(folder, adapterFiles.weights), files.weights)
  await writeFileAtomically(join(folder, adapterFiles.names), files.namesText)
  await writeFileAtomically(join(folder, adapterFiles.config), files.configText)
}

/**
 * The contents of the adapter's files. Matrices of rank 0 are left out; were all of them, or there is none, one stands there as a pair of
 * zeros of rank 1, because PEFT refuses an adapter that adapts nothing. Throws for modules that the encoder lacks and shapes that do not fit.
 */
export const peftFiles = (adapter: LowRankAdapter): AdapterContents => {
  check(adapter)
  const { model, outputs, baseModelName, rank, alpha, rslora = false, dropout = 0, head, labelNames } = adapter
  const kept = keptModules(adapter)
  const path = (name: string) => `${model.naming.prefix}${name}`
  const tensors = new Map<string, WritableTensor>([
    ...kept.flatMap(([name, { A, B, magnitude }]): ReadonlyArray<readonly [string, WritableTensor]> => {
      const keys = pairKeys(`${peftPrefix}${path(name)}`)
      return [[keys.A, A], [keys.B, B], ...(magnitude === undefined ? [] : [[keys.magnitude, magnitude] as const])]
    }),
    ...[...head].map(([name, tensor]): readonly [string, WritableTensor] => [headKey(model, name), tensor]),
  ])
  return {
    configText: peftConfigText({
      baseModelName,
      outputs,
      rank,
      alpha,
      rslora,
      dora: kept.some(([, { magnitude }]) => magnitude !== undefined),
      dropout,
      modules: kept.map(([name, pair]) => ({ path: path(name), rank: rankOf(pair) })),
      modulesToSave: modulesToSave(head),
      fanInFanOut: fansInOut(
        model,
        kept.map(([name]) => name),
      ),
    }),
    weights: writeSafetensors(tensors, { format: 'pt' }),
    namesText: namesText(outputs, labelNames),
  }
}

/** The keys of a pair at the key of its matrix. */
export const pairKeys = (at: string): Readonly<Record<keyof LowRankPair, string>> => ({
  A: `${at}.lora_A.weight`,
  B: `${at}.lora_B.weight`,
  magnitude: `${at}.lora_magnitude_vector`,
})

/** The key of a head tensor: the classifier stands beside the encoder, BERT's pooler within it. */
export const headKey = ({ naming }: Model, name: string): string => `${peftPrefix}${naming.stored(name)}`

/** PEFT itself names 'classifier' and 'score' for a sequence classifier. */
export const modulesToSave = (head: ReadonlyMap<string, Weights>): ReadonlyArray<string> =>
  head.size === 0 ? [] : [...new Set(['classifier', 'score', ...[...head.keys()].map((name) => name.split('.')[0] ?? '')])]

const partOf = (head: ReadonlyMap<string, Weights>, part: string): boolean => [...head.keys()].some((name) => name.startsWith(part))

/** In layer order, so that the files do not depend on the order of a Map. */
const keptModules = ({ model, modules }: LowRankAdapter): ReadonlyArray<readonly [string, LowRankPair]> => {
  const all = model.spec.matrices.flatMap(({ name }) => {
    const pair = modules.get(name)
    return pair === undefined ? [] : [[name, pair] as const]
  })
  const kept = all.filter(([, pair]) => rankOf(pair) > 0)
  if (kept.length > 0) return kept
  const none = all.length > 0 ? all : model.spec.matrices.map((matrix) => [matrix.name, emptyPair(matrix)] as const)
  return none.slice(0, 1).map(([name, pair]) => [name, padPair(pair, 1)] as const)
}

const check = ({ model, outputs, rank, modules, head, labelNames }: LowRankAdapter): void => {
  if (!Number.isInteger(rank) || rank < 1) throw new Error(`peftFiles: expected a rank of at least 1, got ${rank}`)
  const sizes = new Map(model.spec.matrices.map((module) => [module.name, module]))
  for (const [name, pair] of modules) {
    const size = sizes.get(name)
    if (size === undefined) throw new Error(`peftFiles: expected a module of the encoder, got ${name}`)
    checkShape(`${name}.A`, pair.A, [rankOf(pair), size.k])
    checkShape(`${name}.B`, pair.B, [size.d, rankOf(pair)])
    if (pair.magnitude !== undefined) checkShape(`${name}.magnitude`, pair.magnitude, [size.d])
  }
  const shapes = headOf(model, outputs).tensors
  for (const [name, tensor] of head) {
    const shape = shapes.get(name)
    if (shape === undefined) throw new Error(`peftFiles: expected a head tensor (${[...shapes.keys()].join(', ')}), got ${name}`)
    checkShape(name, tensor, shape)
  }
  const missing = [...shapes.keys()].find((name) => !head.has(name) && (name.startsWith('classifier.') || partOf(head, 'pooler.')))
  if (head.size > 0 && missing !== undefined) throw new Error(`peftFiles: expected a whole head, got none of ${missing}`)
  const names = labelNames?.length
  if (names !== undefined && names !== outputs.labels) throw new Error(`peftFiles: expected ${outputs.labels} label names, got ${names}`)
}

const checkShape = (name: string, { shape, data }: Weights, expected: ReadonlyArray<number>): void => {
  if (shape.join() !== expected.join() || data.length !== expected.reduce((a, b) => a * b, 1)) {
    throw new Error(`peftFiles: ${name}: expected [${expected.join(',')}], got [${shape.join(',')}] with ${data.length} numbers`)
  }
}

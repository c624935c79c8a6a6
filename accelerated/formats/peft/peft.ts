/** Adapters on disk in PEFT's layout: adapter_config.json and adapter_model.safetensors, which PEFT loads unchanged. */
import { join } from 'node:path'
import { writeFileAtomically } from '../../files/atomicFile.js'
import { writeSafetensors, type WritableTensor } from '../../files/safetensors/writeSafetensors.js'
import { adapterModules, headTensorShapes, type EncoderConfig } from '../../models/encoderConfig.js'
import { padPair, rankOf, type Adapter, type LowRankPair, type Weights } from './adapter.js'
import { peftConfigText } from './peftConfig.js'

/** The names of an adapter's files. `salora.json` holds what PEFT has no place for: the problem and the names of the classes. */
export const adapterFiles = { config: 'adapter_config.json', weights: 'adapter_model.safetensors', names: 'salora.json' } as const

/** Before every tensor's name, from the two wrappers that PEFT puts around a model. */
export const peftPrefix = 'base_model.model.'

/** Writes the adapter's files into an existing folder, each whole or not at all; the configuration last. Throws FileError. */
export const saveAdapter = async (folder: string, adapter: Adapter): Promise<void> => {
  const { configText, weights, namesText } = peftFiles(adapter)
  await writeFileAtomically(join(folder, adapterFiles.weights), weights)
  await writeFileAtomically(join(folder, adapterFiles.names), namesText)
  await writeFileAtomically(join(folder, adapterFiles.config), configText)
}

/**
 * The contents of the adapter's files. Matrices of rank 0 are left out; were all of them, one stays as a pair of zeros of rank 1,
 * because PEFT refuses an adapter that adapts nothing. Throws for modules that the encoder lacks and shapes that do not fit.
 */
export const peftFiles = (adapter: Adapter): { readonly configText: string; readonly weights: Uint8Array; readonly namesText: string } => {
  check(adapter)
  const { config, baseModelName, rank, alpha, head, labelNames } = adapter
  const kept = keptModules(adapter)
  const path = (name: string) => `${config.family}.${name}`
  const tensors = new Map<string, WritableTensor>([
    ...kept.flatMap(
      ([name, { A, B }]): ReadonlyArray<readonly [string, WritableTensor]> => [
        [`${peftPrefix}${path(name)}.lora_A.weight`, A],
        [`${peftPrefix}${path(name)}.lora_B.weight`, B],
      ],
    ),
    ...[...head].map(([name, tensor]): readonly [string, WritableTensor] => [headKey(config, name), tensor]),
  ])
  return {
    configText: peftConfigText({
      baseModelName,
      rank,
      alpha,
      modules: kept.map(([name, pair]) => ({ path: path(name), rank: rankOf(pair) })),
      modulesToSave: head.size === 0 ? [] : ['classifier', 'score', ...(partOf(head, 'pooler.') ? ['pooler'] : [])],
    }),
    weights: writeSafetensors(tensors, { format: 'pt' }),
    namesText: `${JSON.stringify({ labelNames: labelNames ?? null, problem: config.problem }, null, 2)}\n`,
  }
}

/** The key of a head tensor: the classifier stands beside the encoder, BERT's pooler within it. */
export const headKey = ({ family }: EncoderConfig, name: string): string =>
  `${peftPrefix}${name.startsWith('pooler.') ? `${family}.` : ''}${name}`

const partOf = (head: ReadonlyMap<string, Weights>, part: string): boolean => [...head.keys()].some((name) => name.startsWith(part))

/** In layer order, so that the files do not depend on the order of a Map. */
const keptModules = ({ config, modules }: Adapter): ReadonlyArray<readonly [string, LowRankPair]> => {
  const all = adapterModules(config).flatMap(({ name }) => {
    const pair = modules.get(name)
    return pair === undefined ? [] : [[name, pair] as const]
  })
  const kept = all.filter(([, pair]) => rankOf(pair) > 0)
  return kept.length > 0 ? kept : all.slice(0, 1).map(([name, pair]) => [name, padPair(pair, 1)] as const)
}

const check = ({ config, rank, modules, head, labelNames }: Adapter): void => {
  if (!Number.isInteger(rank) || rank < 1) throw new Error(`peftFiles: expected a rank of at least 1, found ${rank}`)
  if (modules.size === 0) throw new Error('peftFiles: expected at least one adapted module, found none')
  const sizes = new Map(adapterModules(config).map((module) => [module.name, module]))
  for (const [name, pair] of modules) {
    const size = sizes.get(name)
    if (size === undefined) throw new Error(`peftFiles: expected a module of the encoder, found ${name}`)
    checkShape(`${name}.A`, pair.A, [rankOf(pair), size.k])
    checkShape(`${name}.B`, pair.B, [size.d, rankOf(pair)])
  }
  const shapes = headTensorShapes(config)
  for (const [name, tensor] of head) {
    const shape = shapes.get(name)
    if (shape === undefined) throw new Error(`peftFiles: expected a head tensor (${[...shapes.keys()].join(', ')}), found ${name}`)
    checkShape(name, tensor, shape)
  }
  const missing = [...shapes.keys()].find((name) => !head.has(name) && (name.startsWith('classifier.') || partOf(head, 'pooler.')))
  if (head.size > 0 && missing !== undefined) throw new Error(`peftFiles: expected a whole head, found none of ${missing}`)
  const names = labelNames?.length
  if (names !== undefined && names !== config.labels) throw new Error(`peftFiles: expected ${config.labels} label names, found ${names}`)
}

const checkShape = (name: string, { shape, data }: Weights, expected: ReadonlyArray<number>): void => {
  if (shape.join() !== expected.join() || data.length !== expected.reduce((a, b) => a * b, 1)) {
    throw new Error(`peftFiles: ${name}: expected [${expected.join(',')}], found [${shape.join(',')}] with ${data.length} numbers`)
  }
}

/** IA³ (Liu et al., 2022): trained vectors multiply keys, values and the inputs of the feed-forward's last matrix. */
import { z } from 'zod'
import { mul } from '../graph/operators.js'
import type { Matrix, ModelSpec } from '../models/architecture.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { buildWeightGroups, type CommonSettings } from '../settings/commonSettings.js'
import { settingsViaSet, type SettingValues } from '../settings/setting.js'
import { constantInitial } from '../parameters/initialization.js'
import { lowRankSettings } from './lowRankSettings.js'
import type { Method } from './method.js'
import { isTarget, targetedMatrices } from './targetedMatrices.js'

const settings = {
  targetModules: lowRankSettings.targetModules,
  excludeModules: lowRankSettings.excludeModules,
  layersToTransform: lowRankSettings.layersToTransform,
  ...settingsViaSet('IA³ options', {
    feedforwardModules: {
      placeholder: 'names',
      description: 'Adapted matrices whose input is scaled instead of the output, by the end of their names',
      defaultText: "the feed-forward's last matrix",
      schema: z.array(z.string().min(1)).nullable().default(null),
    },
  }),
}
type Ia3Settings = SettingValues<typeof settings> & CommonSettings

/** What a vector scales: x, or W x + b. */
export type ScaledSide = 'input' | 'output'

const vectorSchema = z.strictObject({ name: z.string().max(500), size: z.int().min(1), scales: z.enum(['input', 'output']) })
const schema = z.strictObject({ vectors: z.array(vectorSchema).min(1).max(100_000) })
export type Ia3Phase = z.infer<typeof schema>
/** The vector of the matrix of this name. */
type Scaling = z.infer<typeof vectorSchema>

export const scalingOf = ({ name, d, k }: Matrix, scales: ScaledSide): Scaling => ({ name, size: scales === 'input' ? k : d, scales })

/** The name of a matrix's vector. */
export const vectorName = (matrix: string): string => `${matrix}.l`

// PEFT's defaults by the ends of names. A matrix that also holds queries is scaled as a whole, as in PEFT.
const keysAndValues = 'key value key_proj value_proj k_lin v_lin attn.k attn.v k_proj v_proj Wqkv c_attn qkv_proj'.split(' ')
const feedForward = 'output.dense lin2 mlp.Wo mlp.c_proj fc2 down_proj'.split(' ')

const defaultTargets = ({ matrices, ia3Targets = keysAndValues }: ModelSpec): readonly string[] =>
  [...ia3Targets, ...feedForward].filter((target) => matrices.some(({ name }) => isTarget(name, target)))

export const ia3: Method<Ia3Settings, Ia3Phase> = {
  name: 'ia3',
  summary: 'vectors that scale keys, values and the feed-forward (IA³)',
  settings,
  train: {
    tensors: ({ vectors }, training) => {
      const group = buildWeightGroups(training).undecayed // decay would pull the vectors to 0, and 1 changes nothing
      return vectors.map(({ name, size }) => ({ name: vectorName(name), shape: [size], group, initial: constantInitial(1) }))
    },
    wrap: ({ vectors }, _, parameter) => {
      const sides = new Map(vectors.map(({ name, scales }) => [name, scales]))
      return (host) => ({
        ...host,
        linear: (name, x) => {
          const side = sides.get(name)
          if (side === undefined) return host.linear(name, x)
          const l = parameter(vectorName(name))
          return side === 'input' ? host.linear(name, mul(x, l)) : mul(host.linear(name, x), l)
        },
      })
    },
  },
  phases: {
    schema,
    start: (spec, { targetModules, excludeModules, layersToTransform, feedforwardModules }) => {
      const targets = { targetModules: targetModules ?? defaultTargets(spec), excludeModules, layersToTransform }
      const matrices = targetedMatrices(spec, targets)
      const unknown = feedforwardModules?.find((target) => !matrices.some(({ name }) => isTarget(name, target)))
      if (unknown !== undefined) throw new SettingsError('feedforwardModules', 'names of adapted matrices', JSON.stringify(unknown))
      const inputs = feedforwardModules ?? feedForward
      return { vectors: matrices.map((matrix) => scalingOf(matrix, inputs.some((one) => isTarget(matrix.name, one)) ? 'input' : 'output')) }
    },
    validate: (phase, start) =>
      JSON.stringify(phase) === JSON.stringify(start)
        ? null
        : { expected: `vectors of ${countSides(start)}, as the run's settings have them`, got: countSides(phase) },
  },
  reporting: {
    parameterCounts: ({ vectors }) => ({ adapter: vectors.reduce((sum, { size }) => sum + size, 0) }),
  },
  export: {
    format: 'peftIa3',
    merge: ({ vectors }, _, name, tensor, trained) => {
      const scaling = vectors.find((one) => name === `${one.name}.weight` || (one.scales === 'output' && name === `${one.name}.bias`))
      return scaling === undefined ? null : scale(tensor(), trained(vectorName(scaling.name)), scaling)
    },
  },
}

const countSides = ({ vectors }: Ia3Phase): string => {
  const inputs = vectors.filter(({ scales }) => scales === 'input').length
  return `${vectors.length - inputs} outputs and ${inputs} inputs`
}

/** W diag(l), or diag(l) W and l ⊙ b. numbers: [d, k] or [d] */
const scale = (numbers: ArrayLike<number>, l: ArrayLike<number>, { size, scales }: Scaling): Float64Array => {
  const width = scales === 'input' ? 1 : numbers.length / size
  return Float64Array.from(numbers, (x, i) => x * (l[Math.floor(i / width) % size] ?? NaN))
}

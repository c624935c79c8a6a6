/** Bottleneck adapters: small two-layer networks inside the model's sublayers, each added to a sublayer's output. */
import { z } from 'zod'
import { buildWeightGroups, type CommonSettings } from '../settings/commonSettings.js'
import type { Expression } from '../graph/expression.js'
import type { Sublayer } from '../models/architecture.js'
import { plainHost, type SublayerContext, type TensorSource } from '../models/host.js'
import { settingsViaSet, type SettingValues } from '../settings/setting.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { normalInitial, zeroInitial } from '../parameters/initialization.js'
import type { Trainable } from '../parameters/layout.js'
import type { Method } from './method.js'
import { add, mul, sigmoid, relu } from '../graph/operators.js'

const settings = settingsViaSet('Bottleneck adapter options', {
  reductionFactor: { description: 'Hidden size divided by the width of an adapter', schema: z.number().min(1).default(16) },
})
type BottleneckSettings = SettingValues<typeof settings> & CommonSettings

/** The sublayers that have an adapter, all of the same sizes. */
const schema = z.strictObject({
  hiddenSize: z.int().min(1),
  neurons: z.int().min(1),
  sublayers: z.array(z.string().max(500)).max(100_000),
})
type BottleneckPhase = z.infer<typeof schema>

type Activation = (x: Expression) => Expression

/** a(u) = W_up σ(W_down u + b_down) + b_up. u: [tokens, hidden] → [tokens, hidden] */
export const bottleneck =
  (name: string, activation: Activation, parameter: TensorSource) =>
  (u: Expression): Expression => {
    const { linear } = plainHost(parameter)
    return linear(`${name}.up`, activation(linear(`${name}.down`, u)))
  }

/** What distinguishes one bottleneck method from another. */
type BottleneckKind = Pick<Method, 'name' | 'summary'> & {
  /** the kinds of sublayers that get an adapter */
  readonly after: readonly Sublayer['of'][]
  readonly activation: Activation
  /** A sublayer's output h with the adapter a, before the residual is added and normalized. */
  readonly output: (a: (u: Expression) => Expression, h: Expression, context: SublayerContext) => Expression
}

const bottleneckMethod = ({ name, summary, after, activation, output }: BottleneckKind): Method<BottleneckSettings, BottleneckPhase> => ({
  name,
  summary,
  settings,
  train: {
    hook: 'sublayer',
    tensors: bottleneckTensors,
    wrap: ({ sublayers }, _, parameter) => {
      const adapted = new Set(sublayers)
      return (host) => ({
        ...host,
        sublayer: (sublayer, x, context) => {
          const h = host.sublayer(sublayer, x, context)
          return adapted.has(sublayer) ? output(bottleneck(toAdapterName(sublayer), activation, parameter), h, context) : h
        },
      })
    },
  },
  phases: {
    schema,
    start: ({ hiddenSize, layers }, { reductionFactor }) => {
      const neurons = Math.floor(hiddenSize / reductionFactor)
      if (neurons < 1) throw new SettingsError('reductionFactor', `at most the model's hidden size ${hiddenSize}`, String(reductionFactor))
      const sublayers = layers.flatMap((layer) => layer.sublayers.filter(({ of }) => after.includes(of)).map((sublayer) => sublayer.name))
      return { hiddenSize, neurons, sublayers }
    },
    validate: (phase, start) =>
      JSON.stringify(phase) === JSON.stringify(start)
        ? null
        : { expected: 'the adapters of its start', got: `${phase.sublayers.length} of ${phase.neurons} neurons` },
  },
  reporting: {
    parameterCounts: ({ hiddenSize, neurons, sublayers }) => ({
      adapter: sublayers.length * (2 * hiddenSize * neurons + neurons + hiddenSize),
    }),
  },
  export: { format: 'adapters' },
})

/** Initialized as the adapters library's "bert". */
const bottleneckTensors = ({ hiddenSize, neurons, sublayers }: BottleneckPhase, training: BottleneckSettings): readonly Trainable[] => {
  const { decayed, undecayed } = buildWeightGroups(training)
  const matrix = { group: decayed, initial: normalInitial(0.02) }
  const bias = { group: undecayed, initial: zeroInitial }
  return sublayers.map(toAdapterName).flatMap((adapter) => [
    { name: `${adapter}.down.weight`, shape: [neurons, hiddenSize], ...matrix },
    { name: `${adapter}.down.bias`, shape: [neurons], ...bias },
    { name: `${adapter}.up.weight`, shape: [hiddenSize, neurons], ...matrix },
    { name: `${adapter}.up.bias`, shape: [hiddenSize], ...bias },
  ])
}

/** The name of a sublayer's adapter. */
const toAdapterName = (sublayer: string): string => `${sublayer}.adapter`

// Houlsby et al. (2019): an adapter after attention and one after the feed-forward block. y = norm(h + a(h) + x), x is the sublayer's input.
/** The adapters library's DoubleSeqBnConfig. */
export const houlsby = bottleneckMethod({
  name: 'houlsby',
  summary: 'a bottleneck after attention and one after the feed-forward',
  after: ['attention', 'feedForward'],
  activation: (x) => mul(x, sigmoid(x)), // SiLU
  output: (a, h) => add(h, a(h)),
})

// Pfeiffer et al. (2020): an adapter after the feed-forward block. y = norm(h + a(norm(h + x)) + x), x is its input: the frozen norm acts twice.
/** The adapters library's SeqBnConfig. */
export const pfeiffer = bottleneckMethod({
  name: 'pfeiffer',
  summary: 'a bottleneck after the feed-forward',
  after: ['feedForward'],
  activation: relu,
  output: (a, h, { residual, norm }) => add(h, a(norm(add(h, residual)))),
})

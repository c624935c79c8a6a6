/** Bottleneck adapters: small networks within the model's sublayers, each of which adds to a sublayer's output what it makes of it. */
import { z } from 'zod'
import { weightGroupsOf, type CommonSettings } from '../settings/commonSettings.js'
import type { Expression } from '../graph/expression.js'
import type { Sublayer } from '../models/architecture.js'
import { plainHost, type SublayerContext, type TensorSource } from '../models/host.js'
import { settingGroup, type SettingValues } from '../settings/setting.js'
import { SettingsError } from '../errors/settingsError.js'
import { normalInitial, zeroInitial } from '../parameters/initialization.js'
import { checkHookSupported, type Method } from './method.js'

const settings = settingGroup('Bottleneck adapter options', {
  reductionFactor: {
    kind: 'number',
    placeholder: 'number',
    description: 'Hidden size divided by the width of an adapter',
    common: true,
    schema: z.number().min(1).default(16),
  },
})
export type BottleneckSettings = SettingValues<typeof settings> & CommonSettings

/** The sublayers that have an adapter, all of the same sizes. */
const phase = z.strictObject({
  hiddenSize: z.int().min(1),
  neurons: z.int().min(1),
  sublayers: z.array(z.string().max(500)).max(100_000),
})
export type BottleneckPhase = z.infer<typeof phase>

type Activation = (x: Expression) => Expression

/** a(u) = W_up σ(W_down u + b_down) + b_up. u: [tokens, hidden] → [tokens, hidden] */
export const bottleneck =
  (name: string, activation: Activation, parameter: TensorSource) =>
  (u: Expression): Expression => {
    const { linear } = plainHost(parameter)
    return linear(`${name}.up`, activation(linear(`${name}.down`, u)))
  }

/** What tells one method of bottleneck adapters from another. */
export type BottleneckKind = Pick<Method, 'name' | 'summary'> & {
  /** the sublayers that get an adapter */
  readonly after: ReadonlyArray<Sublayer['of']>
  readonly activation: Activation
  /** A sublayer's output h with the adapter a in it, before the residual is added and normed. */
  readonly output: (a: (u: Expression) => Expression, h: Expression, around: SublayerContext) => Expression
}

export const bottleneckMethod = ({
  name,
  summary,
  after,
  activation,
  output,
}: BottleneckKind): Method<BottleneckSettings, BottleneckPhase> => ({
  name,
  summary,
  settings,
  phase,
  start: (outline, { reductionFactor }) => {
    checkHookSupported(outline, 'sublayer', name)
    const { hiddenSize, layers } = outline
    const neurons = Math.floor(hiddenSize / reductionFactor)
    if (neurons < 1) throw new SettingsError('reductionFactor', `at most the model's hidden size ${hiddenSize}`, String(reductionFactor))
    const sublayers = layers.flatMap((layer) => layer.sublayers.filter(({ of }) => after.includes(of)).map((sublayer) => sublayer.name))
    return { hiddenSize, neurons, sublayers }
  },
  // the start that the adapters library calls "bert"
  tensors: ({ hiddenSize, neurons, sublayers }, own) => {
    const { decayed, undecayed } = weightGroupsOf(own)
    const matrix = { group: decayed, initial: normalInitial(0.02) }
    const bias = { group: undecayed, initial: zeroInitial }
    return sublayers.map(adapterOf).flatMap((at) => [
      { name: `${at}.down.weight`, shape: [neurons, hiddenSize], ...matrix },
      { name: `${at}.down.bias`, shape: [neurons], ...bias },
      { name: `${at}.up.weight`, shape: [hiddenSize, neurons], ...matrix },
      { name: `${at}.up.bias`, shape: [hiddenSize], ...bias },
    ])
  },
  wrap: ({ sublayers }, _, parameter) => {
    const adapted = new Set(sublayers)
    return (host) => ({
      ...host,
      sublayer: (at, x, around) => {
        const h = host.sublayer(at, x, around)
        return adapted.has(at) ? output(bottleneck(adapterOf(at), activation, parameter), h, around) : h
      },
    })
  },
  format: 'adapters',
  validatePhase: (found, start) =>
    JSON.stringify(found) === JSON.stringify(start)
      ? null
      : { expected: 'the adapters of its start', found: `${found.sublayers.length} of ${found.neurons} neurons` },
  counts: ({ hiddenSize, neurons, sublayers }) => ({ adapter: sublayers.length * (2 * hiddenSize * neurons + neurons + hiddenSize) }),
})

/** The name of a sublayer's adapter. */
const adapterOf = (sublayer: string): string => `${sublayer}.adapter`

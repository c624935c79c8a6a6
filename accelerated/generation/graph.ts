/** The graph of decoding: the next tokens of each row and a cache in, logits of each row's next token and the extended cache out. In every layer, the cached keys and values precede those of the batch. */
import { product } from '../graph/dimension.js'
import type { Outputs, Expression, Shape } from '../graph/expression.js'
import { cast, gather, input, mul, reshape, cachedAttention, concat, flattenRows } from '../graph/operators.js'
import type { Layer } from '../models/architecture.js'
import type { PaddedInputs } from '../models/batchInputs.js'
import { buildLayout, type Assembly } from '../training/assembly.js'
import { adaptedHost } from '../training/hosts.js'
import { parameterInputs } from '../training/inferenceGraph.js'
import type { Wrap } from '../models/host.js'

const tokens: Shape = ['batch', 'sequence']

/** The parts of each layer's cache. */
export const parts = ['key', 'value'] as const
export type Part = (typeof parts)[number]

export const pastName = (layer: string, part: Part): string => `past.${layer}.${part}`
export const presentName = (layer: string, part: Part): string => `present.${layer}.${part}`

/** The shape of a part of one layer's cache: [batch, keyValueHeads, past, headSize] */
export const cacheShape = ({ heads, headSize }: Layer, batch = 'batch', past = 'past'): Shape => [batch, heads, past, headSize]

/** growing: each run returns a longer cache. roomy: it has room for more tokens, and a run writes into it. */
export type CacheKind = 'growing' | 'roomy'

/** Rows of tokens, padded on the left so that all end at the same column. */
type Rows = {
  /** int32 or int64 [batch, sequence] */
  readonly ids: Expression
  readonly positions: Expression
  /** [batch, past+sequence]: 0 for tokens, −1e9 for padding */
  readonly keyBias: Expression
  /** as in BatchInputs, by row; absent: there are no virtual tokens */
  readonly virtualToken?: Expression
}

/** The model's inputs for these rows; token types are 0. */
export const paddedRows = ({ ids, positions, keyBias, virtualToken }: Rows): PaddedInputs => {
  const nothing = mul(ids, 0)
  return {
    inputIds: flat(ids),
    positions: flat(positions),
    tokenTypes: flat(nothing),
    virtualToken: flat(virtualToken ?? nothing),
    attentionBias: cast(nothing, keyBias.dtype), // gives the shape of the rows
    keyBias,
  }
}

const flat = (x: Expression): Expression => reshape(x, [product(x.shape)])

/**
 * Inputs: `inputIds`, `positions`, `keyBias` and `virtualToken` of Rows, the cache by `pastName`, and the trained tensors. `wanted`, int32,
 * are indices among the tokens of all rows, such as each row's last. Outputs: `logits` [wanted, vocabulary] of the tokens after these, and the cache by
 * `presentName`.
 * @throws Error if the model is no decoder
 */
export const decodingGraph = (
  assembly: Assembly,
  phase: unknown,
  kind: CacheKind = 'growing',
  trained?: ReadonlyMap<string, Expression>,
): Outputs => {
  const { model, precision } = assembly
  const head = model.causalHead?.()
  if (head === undefined) throw new Error(`decodingGraph: expected a decoder, got ${model.type}`)
  const layers = new Map(model.spec.layers.map((layer) => [layer.name, layer]))
  const past = (name: string): Cached => {
    const layer = layers.get(name)
    if (layer === undefined) throw new Error(`decodingGraph: expected one of ${model.spec.layers.length} layers, got ${name}`)
    const makePastInput = (part: Part): Expression =>
      input(pastName(name, part), cacheShape(layer, 'batch', kind === 'roomy' ? 'capacity' : 'past'), precision.dtype)
    return { key: makePastInput('key'), value: makePastInput('value') }
  }
  const { wrap, present } =
    kind === 'growing'
      ? cache(past)
      : roomyCache(past, input('keyCount', [1], 'int32'), (layer) => [presentName(layer, 'key'), presentName(layer, 'value')])
  const host = wrap(adaptedHost(assembly, phase, trained ?? parameterInputs(buildLayout(assembly, phase), precision.dtype)))
  const rows = {
    ids: input('inputIds', tokens, 'int32'),
    positions: input('positions', tokens, 'int32'),
    keyBias: input('keyBias', ['batch', 'past+sequence'], precision.dtype),
    virtualToken: input('virtualToken', tokens, 'int32'),
  }
  const hidden = model.hidden(host, paddedRows(rows)) // [batch*sequence, hidden]
  const logits = head.outputs(gather(hidden, input('wanted', ['wanted'], 'int32')), host)
  return {
    logits,
    ...Object.fromEntries([...present].flatMap(([layer, cached]) => parts.map((part) => [presentName(layer, part), cached[part]]))),
  }
}

/** The cache of one layer. [batch, keyValueHeads, tokens, headSize] each */
export type Cached = { readonly key: Expression; readonly value: Expression }

type Cache = { readonly wrap: Wrap; readonly present: ReadonlyMap<string, Cached> }

/**
 * `past` gives the cache of each layer. `present` holds the cache after the batch, once the model's graph is complete. A prefix of the host comes
 * before both, and is in neither.
 */
export const cache = (past: (layer: string) => Cached): Cache => {
  const present = new Map<string, Cached>()
  return {
    present,
    wrap: (host) => ({
      ...host,
      keyValue: (layer, batch) => {
        const before = past(layer)
        const all = { key: concat([before.key, batch.key], 2), value: concat([before.value, batch.value], 2) }
        present.set(layer, all)
        return host.keyValue(layer, { ...batch, ...all }) // the bias already covers the cache: see PaddedInputs.keyBias
      },
    }),
  }
}

/**
 * The same with room for more tokens in `past`, where attention is one node that writes into it: nothing copies the cache. The host adds no keys.
 * @param keyCount the number of cached and new tokens: int32 [1] @param names of the parts of a layer's cache after the batch
 */
const roomyCache = (
  past: (layer: string) => Cached,
  keyCount: Expression,
  names: (layer: string) => readonly [key: string, value: string],
): Cache => {
  const present = new Map<string, Cached>()
  return {
    present,
    wrap: (host) => ({
      ...host,
      attention: (layer, { query, key, value, bias, scale, cap }) => {
        const [batch = 1, , sequence = 1] = bias.shape
        const cached = past(layer)
        const nothingAdded = { ...cached, bias }
        if (host.keyValue(layer, nothingAdded) !== nothingAdded)
          throw new Error(`roomyCache: expected a host that adds no keys, got some in ${layer}`)
        const rows = (x: Expression): Expression => reshape(x, [batch, sequence, x.shape[1] ?? 1])
        const operands = { query: rows(query), key: rows(key), value: rows(value) }
        const { attended, present: after } = cachedAttention(operands, cached, bias, keyCount, { scale, cap, names: names(layer) })
        present.set(layer, after)
        return flattenRows(attended)
      },
    }),
  }
}

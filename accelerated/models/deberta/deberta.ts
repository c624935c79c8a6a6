/**
 * DeBERTa v2 and v3 (He et al., 2021): BERT's layers with disentangled attention. Scores also compare each token with its distance to the other, by a
 * table of distance embeddings that is mapped like tokens.
 */
import type { Expression } from '../../graph/expression.js'
import { add, concat, cut, gather, gelu, transpose } from '../../graph/operators.js'
import { blockLayer, type Architecture, type Matrix, type Model, type ModelSpec, type TensorShape } from '../architecture.js'
import { slotPositions, type BatchInputs, type PaddedInputs } from '../batchInputs.js'
import { tokenHead } from '../bert/heads.js'
import { denseHead, linearTensors } from '../layers/classifierHead.js'
import { bertNames, encoderNaming, isIdBuffer, type LayerNames, wordTable } from '../bert/spec.js'
import type { Host } from '../host.js'
import { attention, paddingBias } from '../layers/attention.js'
import { geluTanh } from '../layers/gelu.js'
import { layerNorm, normedSublayer, normTensors } from '../layers/layerNorm.js'
import { debertaConfig, type DebertaConfig } from './config.js'
import { batchDistances, byDistance, type BatchDistances, type DistanceKind } from './distances.js'

/** place: for each kind, the map of distances if it is not shared with tokens */
type DebertaNames = LayerNames & { readonly layer: string; readonly place: Readonly<Record<DistanceKind, string>> }

const buildNames = (i: number): DebertaNames => {
  const layer = bertNames.layer(i)
  const self = `${layer}.attention.self`
  return {
    ...bertNames.within(layer),
    layer,
    query: `${self}.query_proj`,
    key: `${self}.key_proj`,
    value: `${self}.value_proj`,
    place: { c2p: `${self}.pos_key_proj`, p2c: `${self}.pos_query_proj` },
  }
}

const table = 'encoder.rel_embeddings.weight'

const listMatrices = ({ hiddenSize: h, intermediateSize: f, distances }: DebertaConfig, at: DebertaNames): readonly Matrix[] => [
  ...[at.query, at.key, at.value, ...(distances.sharedMaps ? [] : distances.kinds.map((kind) => at.place[kind])), at.attentionOutput].map(
    (name) => ({ name, d: h, k: h }),
  ),
  { name: at.up, d: f, k: h },
  { name: at.down, d: h, k: f },
]

const buildSpec = (config: DebertaConfig): ModelSpec => {
  const { hiddenSize: h, heads, distances } = config
  const layers = Array.from({ length: config.layers }, (_, i) => buildNames(i))
  const matrices = layers.flatMap((at) => listMatrices(config, at))
  const tables: readonly (readonly [string, number])[] = [
    [wordTable, config.vocabularySize],
    ['embeddings.position_embeddings.weight', config.absolutePositions ? config.longestInput : 0],
    ['embeddings.token_type_embeddings.weight', config.tokenTypes],
    [table, distances.rows],
  ]
  const norms = [
    'embeddings.LayerNorm',
    ...(distances.normed ? ['encoder.LayerNorm'] : []),
    ...layers.flatMap((at) => [at.attentionNorm, at.feedForwardNorm]),
  ]
  return {
    hiddenSize: h,
    embeddingSize: h,
    words: wordTable,
    tensors: new Map<string, TensorShape>([
      ...tables.flatMap(([name, rows]) => (rows === 0 ? [] : [[name, [rows, h]] as const])),
      ...matrices.flatMap(({ name, d, k }) => linearTensors(name, d, k)),
      ...norms.flatMap((name) => normTensors(name, h)),
    ]),
    matrices,
    layers: layers.map((at) => blockLayer(at.layer, heads, h / heads, at.attention, at.feedForward)),
    maxPositions: config.longestInput,
    kind: 'encoder',
    supportedHooks: ['sublayer', 'embedded'], // transformers gives it no past keys and values
  }
}

/** The table of distances, normed if the model norms it, and its rows for this batch. */
type Places = { readonly table: Expression; readonly rows: BatchDistances }

/** Hidden states of a batch: → [tokens, hidden] */
const encoder = (config: DebertaConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const { kinds, normed, rowByDistance } = config.distances
  const normalize = normed ? layerNorm(host, 'encoder.LayerNorm', config.layerNormEpsilon) : (x: Expression): Expression => x
  const places = kinds.length === 0 ? null : { table: normalize(host.tensor(table)), rows: batchDistances(rowByDistance, batch) }
  const layers = Array.from({ length: config.layers }, (_, i) => {
    const names = buildNames(i)
    return host.layer(names.layer, encoderLayer(config, host, batch, places, names))
  })
  return layers.reduce((x, layer) => layer(x), embeddings(config, host, batch))
}

const embeddings = (config: DebertaConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const from = (name: string, index: Expression): Expression => gather(host.tensor(`embeddings.${name}_embeddings.weight`), index)
  const words = host.embedded(host.wordRows(wordTable, batch.inputIds), batch)
  const placed = config.absolutePositions ? add(words, from('position', batch.positions)) : words
  const typed = config.tokenTypes === 0 ? placed : add(placed, from('token_type', batch.tokenTypes))
  return host.dropout('embeddings', layerNorm(host, 'embeddings.LayerNorm', config.layerNormEpsilon)(typed), config.dropouts.hidden)
}

/** x ← norm(x + dropout(attention(x))); x ← norm(x + dropout(feedForward(x))) */
const encoderLayer =
  (config: DebertaConfig, host: Host, batch: BatchInputs | PaddedInputs, places: Places | null, at: DebertaNames) =>
  (x: Expression): Expression => {
    const { hiddenSize, heads, dropouts, scoreParts } = config
    const headSize = hiddenSize / heads
    const scale = 1 / Math.sqrt(scoreParts * headSize)
    const dropped = places && { ...places, table: host.dropout(`${at.layer}.attention.distances`, places.table, dropouts.hidden) }
    const query = mapped(config, host, { matrix: at.query, kind: 'p2c', at }, x, dropped)
    const key = mapped(config, host, { matrix: at.key, kind: 'c2p', at }, x, dropped)
    const beside = (queries: Expression, keys: Expression): readonly Expression[] => [
      ...(key.distances === null ? [] : [byDistance(queries, key.distances, scale)]),
      ...(query.distances === null ? [] : [transpose(byDistance(keys, query.distances, scale), [0, 1, 3, 2])]),
    ]
    const settings = { heads, headSize, layer: at.layer, dropout: dropouts.attention, bias: paddingBias(batch), scale, beside }
    const context = attention(settings, host, batch, query.tokens, key.tokens, host.linear(at.value, x))
    const after = { dropout: dropouts.hidden, epsilon: config.layerNormEpsilon }
    const attended = normedSublayer(host, { name: at.attention, matrix: at.attentionOutput, norm: at.attentionNorm }, after, context, x)
    const activation = config.activation === 'gelu' ? gelu : geluTanh
    const intermediate = activation(host.linear(at.up, attended)) // [tokens, intermediate]
    return normedSublayer(host, { name: at.feedForward, matrix: at.down, norm: at.feedForwardNorm }, after, intermediate, attended)
  }

/** Queries or keys: of the tokens [tokens, hidden], and of every distance in the batch [2S + 1, hidden] if this kind contributes. */
const mapped = (
  { distances: { kinds, rows, sharedMaps } }: DebertaConfig,
  host: Host,
  { matrix, kind, at }: { readonly matrix: string; readonly kind: DistanceKind; readonly at: DebertaNames },
  x: Expression,
  places: Places | null,
): { readonly tokens: Expression; readonly distances: Expression | null } => {
  if (places === null || !kinds.includes(kind)) return { tokens: host.linear(matrix, x), distances: null }
  const gatherBatch = (table: Expression): Expression => gather(table, kind === 'c2p' ? places.rows.falling : places.rows.rising)
  if (!sharedMaps) return { tokens: host.linear(matrix, x), distances: gatherBatch(host.linear(at.place[kind], places.table)) }
  // one product for both, so that dropout and rounding in a method treat tokens and distances as rows of one input
  const [tokens = x, table = x] = cut(host.linear(matrix, concat([x, places.table], 0)), 0, [x.shape[0] ?? 1, rows])
  return { tokens, distances: gatherBatch(table) }
}

const debertaModel = (config: DebertaConfig): Model => {
  const { hiddenSize: h, tokenTypes, dropouts } = config
  return {
    type: 'deberta-v2',
    spec: buildSpec(config),
    vocabularySize: config.vocabularySize,
    paddingIndex: config.paddingIndex,
    firstPosition: 0,
    tokenTypes: tokenTypes > 0,
    specialTokens: { between: 1, secondType: tokenTypes > 1 ? 1 : 0, types: Math.max(1, tokenTypes), form: '[CLS] A [SEP] B [SEP]' },
    naming: encoderNaming('deberta', 'DebertaV2', /^(pooler|classifier)\./),
    ignored: isIdBuffer,
    hidden: (host, batch) => encoder(config, host, batch),
    pooling: 'first',
    sequenceHead: denseHead(h, ['pooler.dense', 'classifier'], 'gelu', { input: dropouts.pooler, hidden: dropouts.head }),
    tokenHead: tokenHead(h, dropouts.hidden),
    paddedPositions: slotPositions,
    withDropout: (p) => debertaModel({ ...config, dropouts: { hidden: p, attention: p, pooler: p, head: p } }),
  }
}

export const debertaArchitecture: Architecture = {
  modelTypes: ['deberta-v2'],
  open: (json, where) => debertaModel(debertaConfig(json, where)),
  gguf: null,
}

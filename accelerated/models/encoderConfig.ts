/** The shape of a BERT or RoBERTa encoder: its sizes, its tensors and the six matrices of each layer that can be adapted. */
import type { ConfigFile } from '../files/configFile.js'

/** What the encoder's graph has to know. Sizes are counts; dropouts are probabilities in [0, 1). */
export type EncoderConfig = {
  readonly family: 'roberta' | 'bert'
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  /** Rows of the position table. RoBERTa's first paddingIndex + 1 rows are never used by a real token. */
  readonly maxPositions: number
  readonly tokenTypes: number
  readonly layerNormEpsilon: number
  /** 'gelu' is exact (erf); 'gelu_tanh' is the tanh approximation. */
  readonly activation: 'gelu' | 'gelu_tanh'
  readonly paddingIndex: number
  readonly hiddenDropout: number
  readonly attentionDropout: number
  readonly headDropout: number
  /** Outputs of the head: classes, or 1 for a regression. */
  readonly labels: number
  readonly problem: 'classification' | 'regression'
}

/** What the task decides, whatever the checkpoint's own config.json says. */
export type Outputs = Pick<EncoderConfig, 'labels' | 'problem'>

/** The outputs that a checkpoint's config.json declares: num_labels, else the length of id2label, else 2; one output is a regression. */
export const outputsOf = (file: ConfigFile): Outputs => {
  const labels = file.num_labels ?? (file.id2label === undefined ? 2 : Object.keys(file.id2label).length)
  const regression = file.problem_type == null ? labels === 1 : file.problem_type === 'regression'
  return { labels, problem: regression ? 'regression' : 'classification' }
}

/** The encoder that a parsed config.json describes, with the task's outputs in place of the checkpoint's. */
export const encoderConfigOf = (file: ConfigFile, outputs: Outputs = outputsOf(file)): EncoderConfig => ({
  family: file.model_type,
  vocabularySize: file.vocab_size,
  hiddenSize: file.hidden_size,
  layers: file.num_hidden_layers,
  heads: file.num_attention_heads,
  intermediateSize: file.intermediate_size,
  maxPositions: file.max_position_embeddings,
  tokenTypes: file.type_vocab_size,
  layerNormEpsilon: file.layer_norm_eps,
  activation: file.hidden_act === 'gelu' ? 'gelu' : 'gelu_tanh',
  paddingIndex: file.pad_token_id,
  hiddenDropout: file.hidden_dropout_prob,
  attentionDropout: file.attention_probs_dropout_prob,
  headDropout: file.classifier_dropout ?? file.hidden_dropout_prob,
  labels: outputs.labels,
  problem: outputs.problem,
})

/** Tokens that fit one example: RoBERTa numbers positions from paddingIndex + 1, BERT from 0. */
export const longestInput = (config: EncoderConfig): number =>
  config.family === 'roberta' ? config.maxPositions - config.paddingIndex - 1 : config.maxPositions

/** One matrix W [d, k] = [out, in] that can carry an adapter A [r, k], B [d, r]. */
export type AdapterModule = { readonly name: string; readonly d: number; readonly k: number }

/** The adapted matrices in layer order: query, key, value, attention.output.dense, intermediate.dense, output.dense. */
export const adapterModules = (config: EncoderConfig): ReadonlyArray<AdapterModule> =>
  Array.from({ length: config.layers }, (_, layer) => modulesOfLayer(config, layer)).flat()

const modulesOfLayer = ({ hiddenSize: h, intermediateSize: i }: EncoderConfig, layer: number): ReadonlyArray<AdapterModule> => {
  const at = `encoder.layer.${layer}.`
  return [
    { name: `${at}attention.self.query`, d: h, k: h },
    { name: `${at}attention.self.key`, d: h, k: h },
    { name: `${at}attention.self.value`, d: h, k: h },
    { name: `${at}attention.output.dense`, d: h, k: h },
    { name: `${at}intermediate.dense`, d: i, k: h },
    { name: `${at}output.dense`, d: h, k: i },
  ]
}

/** Every frozen tensor of the encoder by canonical name, with its shape. Head and pooler are in headTensorShapes. */
export const baseTensorShapes = (config: EncoderConfig): ReadonlyMap<string, number[]> => {
  const { hiddenSize: h } = config
  const layerNorm = (at: string): ReadonlyArray<[string, number[]]> => [
    [`${at}.weight`, [h]],
    [`${at}.bias`, [h]],
  ]
  return new Map<string, number[]>([
    ['embeddings.word_embeddings.weight', [config.vocabularySize, h]],
    ['embeddings.position_embeddings.weight', [config.maxPositions, h]],
    ['embeddings.token_type_embeddings.weight', [config.tokenTypes, h]],
    ...layerNorm('embeddings.LayerNorm'),
    ...adapterModules(config).flatMap(
      ({ name, d, k }): ReadonlyArray<[string, number[]]> => [
        [`${name}.weight`, [d, k]],
        [`${name}.bias`, [d]],
      ],
    ),
    ...Array.from({ length: config.layers }, (_, layer) => [
      ...layerNorm(`encoder.layer.${layer}.attention.output.LayerNorm`),
      ...layerNorm(`encoder.layer.${layer}.output.LayerNorm`),
    ]).flat(),
  ])
}

/** The tensors of the classification head by canonical name; BERT's pooler belongs to its head. */
export const headTensorShapes = (config: EncoderConfig): ReadonlyMap<string, number[]> => {
  const { hiddenSize: h, labels } = config
  return config.family === 'roberta'
    ? new Map([
        ['classifier.dense.weight', [h, h]],
        ['classifier.dense.bias', [h]],
        ['classifier.out_proj.weight', [labels, h]],
        ['classifier.out_proj.bias', [labels]],
      ])
    : new Map([
        ['pooler.dense.weight', [h, h]],
        ['pooler.dense.bias', [h]],
        ['classifier.weight', [labels, h]],
        ['classifier.bias', [labels]],
      ])
}

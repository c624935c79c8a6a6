/** The smallest valid files of each kind, to be broken. */
import { specialToken, wordPieceJson } from '../support/wordPieceJson.js'

export const sizes = {
  ...{ vocab_size: 11, hidden_size: 4, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 6, max_position_embeddings: 9 },
}
export const roberta = {
  model_type: 'roberta',
  ...sizes,
  type_vocab_size: 1,
  layer_norm_eps: 1e-5,
  pad_token_id: 1,
  hidden_act: 'gelu',
  id2label: { 0: 'bad', 1: 'good' },
  classifier_dropout: null,
}

export const wordPiece = {
  ...wordPieceJson(['a', 'b', '##c', '!', '##a', '##b']),
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
    ],
    pair: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
      { Sequence: { id: 'B', type_id: 1 } },
      { SpecialToken: { id: '[SEP]', type_id: 1 } },
    ],
    special_tokens: {},
  },
}

export const bytePair = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [specialToken(0, '<s>'), specialToken(1, '<pad>'), specialToken(2, '</s>'), specialToken(3, '<unk>')],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0], trim_offsets: true, add_prefix_space: false },
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    ...{ type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: '', end_of_word_suffix: '', fuse_unk: false },
    vocab: { '<s>': 0, '<pad>': 1, '</s>': 2, '<unk>': 3, a: 4, b: 5, Ġ: 6, Ġa: 7, Ġb: 8, ab: 9 },
    merges: ['Ġ a', 'Ġ b', 'a b'],
  },
}

export const unigram = {
  ...bytePair,
  // a table without a key
  normalizer: { type: 'Precompiled', precompiled_charsmap: 'BAAAAAAAAAA=' },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [{ type: 'WhitespaceSplit' }, { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' }],
  },
  model: {
    type: 'Unigram',
    unk_id: 3,
    byte_fallback: false,
    vocab: [
      ['<s>', 0],
      ['<pad>', 0],
      ['</s>', 0],
      ['<unk>', 0],
      ['▁', -1],
      ['a', -2],
      ['b', -2.5],
      ['▁a', -2.2],
      ['ab', -3],
    ],
  },
}

export const runConfig = {
  formatVersion: 2,
  model: './bert',
  revision: null,
  task: { task: 'sentiment' },
  settings: {
    ...{ rank: 8, loraAlpha: 16, density: 0.5, gateStart: 0.2, gateEnd: 0.5 },
    targetModules: ['query'],
    maxGradNorm: null,
    method: 'salora',
  },
  device: 'cpu',
  versions: { salora: '0.2.0' },
}

export const runResult = {
  device: 'cpu',
  revision: null,
  examples: { training: 10, evaluation: 2 },
  trainableParameters: { adapter: 10, head: 3, gates: 2 },
  majority: { label: 'good', share: 0.5 },
  best: { step: 4, scores: { accuracy: 0.5 } },
  last: { step: 8, scores: { accuracy: 0.5 } },
  ...{ stepsDone: 8, interrupted: false, targetDensity: 0.5, expectedDensity: 0.5, retainedDensity: 0.5, retainedParameters: 5 },
  lambda: 0.1,
  ranks: { 'encoder.layer.0.attention.self.query': 4 },
  orthogonality: { mean: 0.1 },
  ...{ steps: 8, seconds: 1.5, peakMemoryBytes: 1e8, seed: 1, output: 'runs/x' },
}

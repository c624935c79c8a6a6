/** Writes a byte-pair encoding as the Hugging Face files `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`. */
import { LEADING_SPECIAL_TOKENS, MASK_TOKEN, type BytePairEncoding } from './bytePairEncoding.js'

/** The maximum tokens of an input of the embedded model. */
export const MODEL_MAX_LENGTH = 256

const TOKENS_BY_ROLE = {
  bos_token: '<s>',
  eos_token: '</s>',
  unk_token: '<unk>',
  sep_token: '</s>',
  pad_token: '<pad>',
  cls_token: '<s>',
  mask_token: { content: MASK_TOKEN, lstrip: true, rstrip: false, normalized: false, single_word: false },
}

/** `tokenizer.json`: pairs become `<s> A </s></s> B </s>`, and `<mask>` includes the blank before it, both as in RoBERTa. */
export const tokenizerJson = ({ tokens, merges }: BytePairEncoding): object => ({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [...LEADING_SPECIAL_TOKENS, MASK_TOKEN].map((content) => ({
    id: tokens.lastIndexOf(content),
    content,
    single_word: false,
    lstrip: content === MASK_TOKEN,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0], trim_offsets: true, add_prefix_space: false },
  decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: '',
    end_of_word_suffix: '',
    fuse_unk: false,
    byte_fallback: false,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: merges.map((merge) => merge.join(' ')),
  },
})

/** `tokenizer_config.json`. */
export const tokenizerConfigJson = (): object => ({
  tokenizer_class: 'RobertaTokenizer',
  model_max_length: MODEL_MAX_LENGTH,
  add_prefix_space: false,
  errors: 'replace',
  clean_up_tokenization_spaces: false,
  ...TOKENS_BY_ROLE,
  mask_token: MASK_TOKEN,
})

/** `special_tokens_map.json`. */
export const specialTokensMapJson = (): object => TOKENS_BY_ROLE

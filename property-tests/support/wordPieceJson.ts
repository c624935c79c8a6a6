/** tokenizer.json of a small WordPiece tokenizer, as BERT's: the first four pieces are the special tokens. */
export const wordPieceSpecials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]'] as const

export const specialToken = (id: number, content: string) => ({
  id,
  content,
  special: true,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
})

/** @param pieces after the special tokens */
export const wordPieceJson = (pieces: readonly string[]) => ({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: wordPieceSpecials.map((content, id) => specialToken(id, content)),
  normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
  decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  model: {
    type: 'WordPiece',
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
    vocab: Object.fromEntries([...wordPieceSpecials, ...pieces].map((piece, id) => [piece, id])),
  },
})

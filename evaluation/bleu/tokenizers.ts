/** Tokenizers by name: they split a line into the words that BLEU compares. */
import { splitBlanks } from '../../accelerated/checkpoints/tokenizer/pythonBlanks.js'
import { tokenize13a } from './tokenize13a.js'
import { treebankWords } from '../../finetuning/data/treebankWords.js'

/** `13a`: mteval-v13a's, for plain text · `none`: at blanks, for tokenized text · `words`: NLTK's word_tokenize. */
export const bleuTokenizers = { '13a': tokenize13a, none: splitBlanks, words: treebankWords } as const satisfies Readonly<
  Record<string, (line: string) => ReadonlyArray<string>>
>
export type BleuTokenizer = keyof typeof bleuTokenizers

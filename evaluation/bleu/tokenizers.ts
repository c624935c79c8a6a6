/** How a line becomes the words that BLEU compares, by name. */
import { splitBlanks } from '../../finetuning/data/pythonBlanks.js'
import { tokenize13a } from './tokenize13a.js'
import { treebankWords } from '../../finetuning/data/treebankWords.js'

/** `13a`: mteval-v13a's, for text as people write it · `none`: at blanks, for text that is tokenized · `words`: NLTK's word_tokenize. */
export const bleuTokenizers = { '13a': tokenize13a, none: splitBlanks, words: treebankWords } as const satisfies Readonly<
  Record<string, (line: string) => ReadonlyArray<string>>
>
export type BleuTokenizer = keyof typeof bleuTokenizers

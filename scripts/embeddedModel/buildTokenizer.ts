/**
 * Learns the embedded model's tokenizer from a folder of text and writes its three files:
 * `node dist/scripts/embeddedModel/buildTokenizer.js --corpora DIR [--exclude FILE]... [--output DIR]`
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repeatableFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { countWords, trainBytePairEncoding, specialTokensMapJson, tokenizerConfigJson, tokenizerJson } from './bytePairEncoding.js'
import { readCorpus, tokenizeCorpus } from './corpus.js'

/** Small, for a small model; a multiple of 64. */
const VOCABULARY_SIZE = 8192

const {
  flags: { corpora, exclude, output },
} = scriptValues({
  name: 'node dist/scripts/embeddedModel/buildTokenizer.js',
  description: 'Train the tokenizer of the embedded model on a folder of texts and write its three files.',
  flags: {
    Options: {
      corpora: required(textFlag('folder', 'Folder of text files'), 'a folder of text files'),
      exclude: repeatableFlag('file', 'Exclude the sentences of this file; may be repeated'),
      output: textFlag('folder', 'Folder for the files', { default: 'finetuning/embedded/model' }),
    },
  },
  examples: [
    {
      command: 'node dist/scripts/embeddedModel/buildTokenizer.js --corpora corpora',
      result: 'Writes tokenizer.json and prints its statistics.',
    },
  ],
})
const corpus = readCorpus(corpora, exclude)

const encoding = trainBytePairEncoding(countWords(corpus.training), VOCABULARY_SIZE)
mkdirSync(output, { recursive: true })
const write = (name: string, content: object): void => writeFileSync(join(output, name), `${JSON.stringify(content, null, 1)}\n`)
const tokenizer = tokenizerJson(encoding)
write('tokenizer.json', tokenizer)
write('tokenizer_config.json', tokenizerConfigJson())
write('special_tokens_map.json', specialTokensMapJson())

const summary = (lines: readonly string[]): string => {
  const tokens = tokenizeCorpus(lines, tokenizer).tokens.length
  const bytes = lines.reduce((total, line) => total + Buffer.byteLength(line), 0)
  return `${lines.length} lines, ${tokens} tokens, ${(bytes / tokens).toFixed(3)} bytes a token`
}
console.log(`training    ${summary(corpus.training)}`)
console.log(`validation  ${summary(corpus.validation)}`)
console.log(`removed     ${corpus.removed} excluded sentences, ${corpus.repeated} repeated lines`)
console.log(`vocabulary  ${encoding.tokens.length} tokens, ${encoding.merges.length} merges, written to ${output}`)

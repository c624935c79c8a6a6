/** Tokenised examples in little memory: their ids lie one after another in typed arrays, and an example is a view of them. */
import type { Encoding, Tokenizer } from '../accelerated/files/tokenizer.js'
import type { LabelledExample } from '../accelerated/objectives/sequence.js'
import type { Example } from './data/index.js'

type Ids = Uint16Array | Int32Array

/** Ids in one array. */
const chunkLength = 2 ** 20

class TokenisedExample implements LabelledExample {
  /** `second`: ids from there on are of the second token type */
  constructor(
    private readonly chunk: Ids,
    private readonly start: number,
    private readonly length: number,
    private readonly second: number,
    readonly label: number,
    readonly labels: ReadonlyArray<number> | undefined,
    readonly row: number,
  ) {}
  get inputIds(): ReadonlyArray<number> {
    return Array.from(this.chunk.subarray(this.start, this.start + this.length))
  }
  get tokenTypeIds(): ReadonlyArray<number> {
    return Array.from({ length: this.length }, (_, i) => (i < this.second ? 0 : 1))
  }
}

/** Of a tokenizer whose ids are below `vocabularySize`. */
export const tokenise = (
  tokenizer: Tokenizer,
  vocabularySize: number,
  examples: Iterable<Example>,
  maxLength: number,
): ReadonlyArray<LabelledExample> => {
  const emptyChunk = (length: number): Ids => (vocabularySize <= 65_536 ? new Uint16Array(length) : new Int32Array(length))
  let [chunk, used] = [emptyChunk(0), 0]
  return Array.from(examples, ({ text, textPair, label, labels, row }) => {
    const { inputIds, tokenTypeIds } = tokenizer.encode(text, textPair, maxLength)
    if (used + inputIds.length > chunk.length) [chunk, used] = [emptyChunk(Math.max(chunkLength, inputIds.length)), 0]
    chunk.set(inputIds, used)
    used += inputIds.length
    return new TokenisedExample(chunk, used - inputIds.length, inputIds.length, secondAt(tokenTypeIds), label, labels, row)
  })
}

const secondAt = (types: Encoding['tokenTypeIds']): number => {
  const at = types.indexOf(1)
  return at === -1 ? types.length : at
}

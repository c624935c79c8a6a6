/** Tokenized examples in little memory: token ids and labels are stored in typed arrays, and `at(i)` builds an example from them. */
import type { Encoding, Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Examples } from '../../../accelerated/models/packing.js'
import type { LabeledExample } from '../../../accelerated/objectives/sequenceClassification.js'
import type { Example } from '../../data/index.js'

type Ids = Uint16Array | Int32Array

/** Rows of a block. */
const blockRows = 2 ** 14

class Block {
  /** By row: where its ids end, and how many of them have token type 0. */
  private readonly ends = new Uint32Array(blockRows)
  private readonly firsts = new Uint32Array(blockRows)
  private readonly label = new Float64Array(blockRows)
  private readonly row = new Float64Array(blockRows)
  private readonly labels: (readonly number[])[] = []
  private readonly shares: LabeledExample['shares'][] = []

  constructor(private ids: Ids) {}

  put(at: number, { inputIds, tokenTypeIds }: Encoding, { label, labels, shares, row }: Example): void {
    const start = this.start(at)
    if (start + inputIds.length > this.ids.length) this.ids = resized(this.ids, 2 * (start + inputIds.length))
    this.ids.set(inputIds, start)
    this.ends[at] = start + inputIds.length
    const second = tokenTypeIds.indexOf(1)
    this.firsts[at] = second === -1 ? inputIds.length : second
    this.label[at] = label
    this.row[at] = row
    if (labels !== undefined) this.labels[at] = labels
    if (shares !== undefined) this.shares[at] = shares
    if (at === blockRows - 1) this.ids = resized(this.ids, this.ends[at] ?? 0)
  }
  example(at: number): LabeledExample {
    const inputIds = this.ids.subarray(this.start(at), this.ends[at])
    const [first = 0, label = NaN, row = NaN] = [this.firsts[at], this.label[at], this.row[at]]
    const tokenTypeIds = first === inputIds.length ? undefined : new Uint8Array(inputIds.length).fill(1, first)
    return { inputIds, tokenTypeIds, label, labels: this.labels[at], shares: this.shares[at], row }
  }
  private start(at: number): number {
    return at === 0 ? 0 : (this.ends[at - 1] ?? 0)
  }
}

const resized = (ids: Ids, length: number): Ids => {
  const copy = ids instanceof Uint16Array ? new Uint16Array(length) : new Int32Array(length)
  copy.set(ids.subarray(0, length))
  return copy
}

/**
 * Tokenizes examples. Ids below 65,536 (`vocabularySize`) take 2 bytes each, larger ones 4.
 * @param onTruncated is called for each example that has more than `maxLength` tokens
 */
export const tokenize = (
  tokenizer: Pick<Tokenizer, 'encode'>,
  vocabularySize: number,
  examples: Iterable<Example>,
  maxLength: number,
  onTruncated: () => void = () => undefined,
): Examples<LabeledExample> => {
  const blocks: Block[] = []
  let length = 0
  for (const example of examples) {
    const encoding = tokenizer.encode(example.text, example.textPair, maxLength)
    if (encoding.truncated === true) onTruncated()
    if (length % blockRows === 0) blocks.push(new Block(vocabularySize <= 65_536 ? new Uint16Array(0) : new Int32Array(0)))
    blocks.at(-1)?.put(length++ % blockRows, encoding, example)
  }
  return { length, at: (index) => blocks[Math.floor(index / blockRows)]?.example(index % blockRows) }
}

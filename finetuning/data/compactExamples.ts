/** Stores examples compactly: texts in byte arrays outside the JavaScript heap, numbers in columns. An example is a view of one row. */
import type { Shares } from '../../accelerated/probe/linearModel.js'
import type { Example } from './dataset.js'

/** Rows and text bytes of a block. A longer text has a block of its own. */
const [blockRows, blockBytes] = [2 ** 14, 2 ** 20]

/** One byte per character if that is enough, else two. Both are exact for every JavaScript string, lone surrogates included. */
const chooseEncoding = (text: string): 'latin1' | 'utf16le' => (/^[\u0000-\u00ff]*$/.test(text) ? 'latin1' : 'utf16le')

class Block {
  rows = 0
  private used = 0
  private readonly bytes: Buffer
  /** for each row's two texts: the end, and the bytes per character (0: there is no text) */
  private readonly ends = new Uint32Array(2 * blockRows)
  private readonly widths = new Uint8Array(2 * blockRows)
  readonly label = new Float64Array(blockRows)
  readonly row = new Float64Array(blockRows)
  readonly labels: (readonly number[])[] = []
  readonly shares: Shares[] = []
  readonly words: ArrayLike<number>[] = []
  readonly negatives: string[] = []

  constructor(leastBytes: number) {
    this.bytes = Buffer.alloc(Math.max(blockBytes, leastBytes)) // unwritten pages take no memory
  }
  hasRoomFor(bytes: number): boolean {
    return this.rows < blockRows && this.used + bytes <= this.bytes.length
  }
  /** Call it slot by slot, in order. */
  write(slot: number, text: string | undefined): void {
    if (text !== undefined) {
      const encoding = chooseEncoding(text)
      this.used += this.bytes.write(text, this.used, encoding)
      this.widths[slot] = encoding === 'latin1' ? 1 : 2
    }
    this.ends[slot] = this.used
  }
  text(slot: number): string | undefined {
    const width = this.widths[slot]
    if (width === 0) return undefined
    return this.bytes.toString(width === 1 ? 'latin1' : 'utf16le', slot === 0 ? 0 : this.ends[slot - 1], this.ends[slot])
  }
}

/**
 * A row of a block. Its label can be set, because classes get their indices after the last row. Its properties are getters: `{ ...example }` copies
 * nothing, `toJSON` does.
 */
export class StoredExample implements Example {
  readonly #block: Block
  readonly #at: number
  constructor(block: Block, at: number) {
    this.#block = block
    this.#at = at
  }
  get text(): string {
    return this.#block.text(2 * this.#at) ?? ''
  }
  get textPair(): string | undefined {
    return this.#block.text(2 * this.#at + 1)
  }
  get label(): number {
    return this.#block.label[this.#at] ?? NaN
  }
  set label(label: number) {
    this.#block.label[this.#at] = label
  }
  get labels(): readonly number[] | undefined {
    return this.#block.labels[this.#at]
  }
  set labels(labels: readonly number[]) {
    this.#block.labels[this.#at] = labels
  }
  get shares(): Shares | undefined {
    return this.#block.shares[this.#at]
  }
  set shares(shares: Shares) {
    this.#block.shares[this.#at] = shares
  }
  get words(): ArrayLike<number> | undefined {
    return this.#block.words[this.#at]
  }
  get negative(): string | undefined {
    return this.#block.negatives[this.#at]
  }
  get row(): number {
    return this.#block.row[this.#at] ?? NaN
  }
  /** A copy as a plain object. */
  toJSON(): Example {
    const { text, textPair, negative, label, labels, shares, words, row } = this
    const optional = {
      ...(negative === undefined ? {} : { negative }),
      ...(labels === undefined ? {} : { labels }),
      ...(shares === undefined ? {} : { shares }),
      ...(words === undefined ? {} : { words: Array.from(words) }),
    }
    return { text, ...(textPair === undefined ? {} : { textPair }), label, ...optional, row }
  }
}

/** Stores examples one by one and returns each as it is stored. */
export const exampleStore = (): ((example: Example) => StoredExample) => {
  let block = new Block(0)
  return ({ text, textPair, negative, label, labels, shares, words, row }) => {
    const most = 2 * (text.length + (textPair?.length ?? 0))
    if (!block.hasRoomFor(most)) block = new Block(most)
    const at = block.rows++
    block.write(2 * at, text)
    block.write(2 * at + 1, textPair)
    block.label[at] = label
    block.row[at] = row
    if (negative !== undefined) block.negatives[at] = negative
    if (labels !== undefined) block.labels[at] = labels
    if (shares !== undefined) block.shares[at] = shares
    if (words !== undefined) block.words[at] = Int32Array.from(words)
    return new StoredExample(block, at)
  }
}

/** Examples in little memory: texts lie in byte arrays outside of JavaScript's heap, numbers in columns, and an example is a view of a row of them. */
import type { Example } from './dataset.js'

/** Rows, and bytes of texts, that lie together; a longer text lies alone. */
const [blockRows, blockBytes] = [2 ** 14, 2 ** 20]

/** A text as JavaScript has it, in one byte a character where that is enough: exact for every text, half of a surrogate pair included. */
const encodingOf = (text: string): 'latin1' | 'utf16le' => (/^[\u0000-\u00ff]*$/.test(text) ? 'latin1' : 'utf16le')

class Block {
  rows = 0
  private used = 0
  private readonly bytes: Buffer
  /** of the two texts of each row: where it ends, and whether it is there in one or in two bytes a character, or not at all */
  private readonly ends = new Uint32Array(2 * blockRows)
  private readonly widths = new Uint8Array(2 * blockRows)
  readonly label = new Float64Array(blockRows)
  readonly row = new Float64Array(blockRows)
  readonly labels: ReadonlyArray<number>[] = []

  constructor(leastBytes: number) {
    this.bytes = Buffer.alloc(Math.max(blockBytes, leastBytes)) // pages that are not written take no memory
  }
  hasRoomFor(bytes: number): boolean {
    return this.rows < blockRows && this.used + bytes <= this.bytes.length
  }
  /** Texts come in order: those of one row after those of the row before. */
  write(slot: number, text: string | undefined): void {
    if (text !== undefined) {
      const encoding = encodingOf(text)
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
 * A row of a block. Its label may be set: classes get their indices once all of them are known. What it has is read when asked for, so that
 * `{ ...example }` copies nothing: `toJSON` does.
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
  get labels(): ReadonlyArray<number> | undefined {
    return this.#block.labels[this.#at]
  }
  set labels(labels: ReadonlyArray<number>) {
    this.#block.labels[this.#at] = labels
  }
  get row(): number {
    return this.#block.row[this.#at] ?? NaN
  }
  /** The same in an object of its own. */
  toJSON(): Example {
    const { text, textPair, label, labels, row } = this
    return { text, ...(textPair === undefined ? {} : { textPair }), label, ...(labels === undefined ? {} : { labels }), row }
  }
}

/** Takes examples one after another and gives each back as it is stored; what it was made of need not be kept. */
export const exampleStore = (): ((example: Example) => StoredExample) => {
  let block = new Block(0)
  return ({ text, textPair, label, labels, row }) => {
    const most = 2 * (text.length + (textPair?.length ?? 0))
    if (!block.hasRoomFor(most)) block = new Block(most)
    const at = block.rows++
    block.write(2 * at, text)
    block.write(2 * at + 1, textPair)
    block.label[at] = label
    block.row[at] = row
    if (labels !== undefined) block.labels[at] = labels
    return new StoredExample(block, at)
  }
}

/** Short texts in three parts that share no row: to train on, to choose settings by, and to report. */

export type Instruction = { readonly instruction: string; readonly input: string; readonly output: string }

/** Rows of each part. One epoch of the training rows is 400 batches of 4. */
export const partSizes = { train: 1600, choose: 240, report: 600 } as const
export type Part = keyof typeof partSizes

/** In characters, over instruction, input and response: nearly all of these rows are below 128 tokens as chats. */
export const longestRow = 300

/** The rows that have a response and are short, in the file's order. */
export const shortInstructions = (rows: ReadonlyArray<Instruction>): ReadonlyArray<Instruction> =>
  rows.filter(({ instruction, input, output }) => output.trim() !== '' && instruction.length + input.length + output.length <= longestRow)

/** In characters: about 50 tokens of English. */
export const longestPiece = 200

/** A text in pieces of whole words, the longest that fit, with a blank for each run of white space. A longer word is a piece of its own. */
export const piecesOf = (text: string): ReadonlyArray<{ readonly text: string }> => {
  const pieces: string[] = []
  let piece = ''
  for (const word of text.split(/\s+/).filter((one) => one !== '')) {
    const longer = piece === '' ? word : `${piece} ${word}`
    if (piece !== '' && longer.length > longestPiece) {
      pieces.push(piece)
      piece = word
    } else piece = longer
  }
  return (piece === '' ? pieces : [...pieces, piece]).map((one) => ({ text: one }))
}

/** The first rows in their order. null: there are too few. */
export const inParts = <Row>(rows: ReadonlyArray<Row>): Readonly<Record<Part, ReadonlyArray<Row>>> | null => {
  const { train, choose, report } = partSizes
  if (rows.length < train + choose + report) return null
  return {
    train: rows.slice(0, train),
    choose: rows.slice(train, train + choose),
    report: rows.slice(train + choose, train + choose + report),
  }
}

/** Short instructions in three parts that share no row: to train on, to choose settings by, and to report. */

export type Instruction = { readonly instruction: string; readonly input: string; readonly output: string }

/** Rows of each part. One epoch of the training rows is 400 batches of 4. */
export const partSizes = { train: 1600, choose: 240, report: 600 } as const
export type Part = keyof typeof partSizes

/** In characters, over instruction, input and response: nearly all of these rows are below 128 tokens as chats. */
export const longestRow = 300

/** The first rows that have a response and are short, in the file's order. null: there are too few. */
export const decoderParts = (rows: ReadonlyArray<Instruction>): Readonly<Record<Part, ReadonlyArray<Instruction>>> | null => {
  const short = rows.filter(
    ({ instruction, input, output }) => output.trim() !== '' && instruction.length + input.length + output.length <= longestRow,
  )
  const { train, choose, report } = partSizes
  if (short.length < train + choose + report) return null
  return {
    train: short.slice(0, train),
    choose: short.slice(train, train + choose),
    report: short.slice(train + choose, train + choose + report),
  }
}

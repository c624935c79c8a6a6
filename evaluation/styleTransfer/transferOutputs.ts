/** The lines to score: a decoder writes them, or files have them. */
import { openGenerator } from '../../finetuning/adapters/generator.js'
import { firstLine, normalized } from './normalizedText.js'
import { checkLines, linesOf } from './textFile.js'
import type { Style } from '../../finetuning/data/styles.js'
import type { TransferData } from './transferData.js'
import { transferFile } from './transferFolder.js'
import { transferAll, transfersIn } from './transfers.js'
import type { StyleTransferOptions, StyleTransferEvent, Outputs } from './contract.js'

/** Lines to score, by the sources' style; null where a signal came before all were made. */
export const outputsOf = async function* (
  { source, output, limit }: StyleTransferOptions,
  data: TransferData,
  signal: AbortSignal,
): AsyncGenerator<StyleTransferEvent, Outputs | null> {
  if ('files' in source) {
    const read = async (i: 0 | 1): Promise<ReadonlyArray<string>> => {
      const { sources, file } = data.directions[i]
      const lines = await linesOf(source.files[i])
      const expected = limit === null ? sources.length : Math.max(sources.length, lines.length)
      checkLines(lines, source.files[i], expected, file)
      const selected = lines.slice(0, sources.length)
      return source.normalize ? selected.map(normalized) : selected
    }
    return [await read(0), await read(1)]
  }
  yield { kind: 'preparing', what: `opening ${source.generator.model}` }
  const fileOf = (from: Style): string => transferFile(output ?? '', from)
  const generator = await openGenerator(source.generator)
  try {
    for (const direction of data.directions) {
      for await (const done of transferAll({ ...source, generator, direction, file: fileOf(direction.from) }, signal))
        yield { kind: 'transferring', direction: direction.name, done, of: direction.sources.length }
      if (signal.aborted) return null
    }
  } finally {
    await generator.release()
  }
  const lines = async (i: 0 | 1): Promise<ReadonlyArray<string>> =>
    (await transfersIn(fileOf(i), data.directions[i])).map(({ text }) => normalized(firstLine(text)))
  return [await lines(0), await lines(1)]
}

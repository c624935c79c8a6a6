/** Names of classes: the bounds that hold for whoever writes them into a file and for whoever reads them. */
import { z } from 'zod'
import { inputError, quoted } from '../errors/inputError.js'

/** Bytes of a file that holds the names of all classes: a config.json has them twice. */
export const namesLimit = 16_000_000

const longestName = 1_000 // characters

export const labelName = z.string().max(longestName)
export const labelNames = z.array(labelName).max(1_000_000)

/** What an entry of id2label and one of label2id take beside the name, at most; and everything else in the file. */
const [perName, rest] = [50, 1_000_000]

/** Throws Mistake for names that no file of an adapter or a model could be read with, before anything is trained for them. */
export const checkLabelNames = (names: ReadonlyArray<string>, where: string): void => {
  const long = names.find((name) => name.length > longestName)
  if (long !== undefined)
    throw inputError(where, `labels of at most ${longestName} characters`, `one of ${long.length}: ${quoted(long, 40)}`)
  const bytes = names.reduce((sum, name) => sum + perName + 2 * Buffer.byteLength(JSON.stringify(name)), rest)
  if (bytes > namesLimit)
    throw inputError(
      where,
      `classes whose names fit into a config.json of ${namesLimit} bytes`,
      `${names.length} classes of about ${bytes} bytes`,
    )
}

/** The names of classes, bounded so that every file that holds all of them stays small enough to be read. */
import { z } from 'zod'
import { inputError, quoted } from '../errors/inputError.js'
import type { Text } from '../errors/words.js'

/** Bytes of a file with all class names, such as a config.json, which has them twice. */
export const namesLimit = 16_000_000

const longestName = 1_000 // characters

export const labelName = z.string().max(longestName)
export const labelNames = z.array(labelName).max(1_000_000)

/** The most bytes that id2label and label2id need for a class beside its name, and that the rest of the file needs. */
const [perName, rest] = [50, 1_000_000]

/** Runs before training. @throws InputError if the names would make the files of an adapter or a model too large to be read */
export const checkLabelNames = (names: readonly string[], where: Text): void => {
  const long = names.find((name) => name.length > longestName)
  if (long !== undefined)
    throw inputError(where, `labels of at most ${longestName} characters`, `one of ${long.length}: ${quoted(long, 40)}`)
  const bytes = names.reduce((sum, name) => sum + perName + 2 * new TextEncoder().encode(JSON.stringify(name)).length, rest)
  if (bytes > namesLimit)
    throw inputError(
      where,
      `classes whose names fit into a config.json of ${namesLimit} bytes`,
      `${names.length} classes of about ${bytes} bytes`,
    )
}

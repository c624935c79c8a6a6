/** The data of a trial's short runs: embedded sentences, in a file of the stage's own. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { packageFile } from '../../accelerated/storage/packageFile.js'
import type { TrialOptions } from './stage.js'

/** Sentences of a rehearsal, and of a trial. A tenth is held out. */
const [few, many] = [40, 800]

/** Writes the file into the folder. → its path */
export const writeTrialRows = async ({ small }: Pick<TrialOptions, 'small'>, folder: string): Promise<string> => {
  const sentences = await readFile(packageFile('finetuning/data/sentiment/sentences.jsonl'), 'utf8')
  const file = join(folder, 'sentences.jsonl')
  await writeFile(
    file,
    `${sentences
      .split('\n')
      .slice(0, small ? few : many)
      .join('\n')}\n`,
  )
  return file
}

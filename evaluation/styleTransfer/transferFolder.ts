/** The folder of a transfer: its configuration, the transfers of both directions, and their scores. */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { removeTemporaries, writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { lockFolder, type FolderLock } from '../../accelerated/storage/folderLock.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import type { Style } from '../../finetuning/data/styles.js'

/** Everything that transfers depend on, as texts by name. */
export type TransferConfig = Readonly<Record<string, string>>

const schema = z.object({ transfers: z.record(z.string().max(100), z.string().max(10_000)) })
const configLimit = 1_000_000

export const transferFile = (folder: string, style: Style): string => join(folder, `transfers.${style}.jsonl`)

/**
 * Makes the folder, or opens the folder of an earlier call with the same configuration, and locks it. @throws InputError if it has other files, or
 * transfers with other settings, another model or other sentences
 */
export const openTransferFolder = async (folder: string, config: TransferConfig): Promise<FolderLock> => {
  const where = `--output ${folder}`
  const file = join(folder, 'config.json')
  await makeFolder(folder).catch((thrown: unknown) => {
    throw systemInputError(where, 'a folder that can be written', thrown)
  })
  const files = await readdir(folder).catch((thrown: unknown) => {
    throw systemInputError(where, 'a folder', thrown)
  })
  if (!existsSync(file)) {
    const other = files.find((name) => !/^lock-|\.partial$/.test(name))
    if (other !== undefined) throw inputError(where, 'a new folder, or one of an earlier transfer', `${quoted(other)} in it`)
  }
  const lock = await lockFolder(folder, where)
  try {
    if (existsSync(file)) {
      const { transfers } = validate(schema, parseJson(await readText(file, configLimit), file), file, 'the config.json of a transfer')
      const differing = Object.keys({ ...config, ...transfers }).find((name) => config[name] !== transfers[name])
      if (differing !== undefined)
        throw inputError(
          where,
          `${differing} ${quoted(transfers[differing] ?? 'none')}, as the transfers in it have (or another folder)`,
          quoted(config[differing] ?? 'none'),
        )
    } else await writeFileAtomically(file, `${JSON.stringify({ transfers: config }, null, 2)}\n`)
    await removeTemporaries(folder)
    return lock
  } catch (thrown) {
    await lock.release()
    throw thrown
  }
}

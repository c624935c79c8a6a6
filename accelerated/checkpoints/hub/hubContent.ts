/** Checks that a downloaded file is what its name says: a proxy or a login may answer with a web page of its own. */
import { extname } from 'node:path'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { InputError, inputError, shown } from '../../errors/inputError.js'
import { readBytes, withRegularFile } from '../../storage/nodeFiles.js'
import { readSafetensors } from '../safetensors/safetensors.js'

const names: Readonly<Record<string, string>> = {
  '.safetensors': 'weights in safetensors',
  '.parquet': 'a Parquet file',
  '.jinja': 'a chat template',
}
const page = /^(\u00ef\u00bb\u00bf)?\s*</
const pageInText = /^(\u00ef\u00bb\u00bf)?\s*<(!doctype|html)/i

/**
 * @param path the downloaded bytes @param file the name that they will get @param isData whether they are rows of a dataset
 * @throws InputError that names their URL
 */
export const checkContent = async (path: string, file: string, url: string, isData: boolean): Promise<void> => {
  const kind = extname(file)
  const isTemplate = kind === '.jinja'
  // a template may begin with a token such as <s>, and so may a text
  if ((isTemplate || isData ? pageInText : page).test(await beginningOf(path)))
    throw inputError(url, names[kind] ?? (isData ? 'rows' : 'JSON'), 'a web page (of a proxy, or to log in?); nothing of it is kept')
  try {
    if (kind === '.safetensors') await readSafetensors(path)
    else if (kind === '.parquet') await checkParquet(path, url)
    else if (isTemplate) await readText(path)
    else if (!isData) checkObject(parseJson(await readText(path), url), url)
  } catch (thrown) {
    throw thrown instanceof InputError ? inputError(url, thrown.expected, `${thrown.got}; nothing of it is kept`) : thrown
  }
}

const checkObject = (json: unknown, url: string): void => {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw inputError(url, 'a JSON object', shown(json))
}

/** Its end shows that it is complete. Its content is validated when it is read. */
const checkParquet = (path: string, url: string): Promise<void> =>
  withRegularFile(path, async (handle, size) => {
    const magic = size < 8 ? [] : [await readBytes(handle, path, 0, 4), await readBytes(handle, path, size - 4, 4)]
    if (magic.length === 0 || magic.some((mark) => mark.toString('latin1') !== 'PAR1'))
      throw inputError(url, 'a Parquet file, which begins and ends with PAR1', `${size} bytes that do not`)
  })

const beginningOf = (path: string): Promise<string> =>
  withRegularFile(path, async (handle, size) => (await readBytes(handle, path, 0, Math.min(size, 100))).toString('latin1'))

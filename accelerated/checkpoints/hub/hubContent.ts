/** What a file of the hub must be: the bytes of its hash, and of the kind that its name says. */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { extname } from 'node:path'
import { InputError, inputError, formatValue } from '../../errors/inputError.js'
import { parseJson } from '../../storage/json.js'
import { readBytes, withRegularFile } from '../../storage/nodeFiles.js'
import { readText } from '../../storage/text.js'
import { readSafetensors } from '../safetensors/safetensors.js'

/** The hash in the making of a file of `bytes`, as the hub has it: git's SHA-1 of a blob, which starts with the length, or plain SHA-256. */
export const hubHash = (kind: 'git' | 'sha256', bytes: number): Hash =>
  kind === 'git' ? createHash('sha1').update(`blob ${bytes}\0`) : createHash('sha256')

/** The hub's hash of a file on this disk, in hexadecimal. @throws the system's error */
export const hashFile = async (path: string, kind: 'git' | 'sha256', bytes: number): Promise<string> => {
  const hash = hubHash(kind, bytes)
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

const contents: Readonly<Record<string, string>> = {
  '.safetensors': 'weights in safetensors',
  '.parquet': 'a Parquet file',
  '.jinja': 'a chat template',
}
const page = /^(\u00ef\u00bb\u00bf)?\s*</
const pageInText = /^(\u00ef\u00bb\u00bf)?\s*<(!doctype|html)/i

/**
 * Checks that a downloaded file is what its name says: a proxy or a login may answer with a web page of its own.
 * @param path the downloaded bytes @param file the name that they will get @param isRows whether they are of a dataset
 * @throws InputError that names their URL
 */
export const checkContent = async (path: string, file: string, url: string, isRows: boolean): Promise<void> => {
  const kind = extname(file)
  const isTemplate = kind === '.jinja'
  const beginning = await withRegularFile(path, (handle, size) => readBytes(handle, path, 0, Math.min(size, 100)))
  // a template may begin with a token such as <s>, and so may a text
  if ((isTemplate || isRows ? pageInText : page).test(beginning.toString('latin1')))
    throw inputError(url, contents[kind] ?? (isRows ? 'rows' : 'JSON'), 'a web page (of a proxy, or to log in?); nothing of it is kept')
  try {
    if (kind === '.safetensors') await readSafetensors(path)
    else if (kind === '.parquet') await checkParquet(path, url)
    else if (isTemplate) await readText(path)
    else if (!isRows) checkObject(parseJson(await readText(path), url), url)
  } catch (thrown) {
    throw thrown instanceof InputError ? inputError(url, thrown.expected, `${thrown.got}; nothing of it is kept`) : thrown
  }
}

const checkObject = (json: unknown, url: string): void => {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw inputError(url, 'a JSON object', formatValue(json))
}

/** Its end shows that it is complete. Its content is validated when it is read. */
const checkParquet = (path: string, url: string): Promise<void> =>
  withRegularFile(path, async (handle, size) => {
    const marks = size < 8 ? [] : [await readBytes(handle, path, 0, 4), await readBytes(handle, path, size - 4, 4)]
    if (marks.length === 0 || marks.some((mark) => mark.toString('latin1') !== 'PAR1'))
      throw inputError(url, 'a Parquet file, which begins and ends with PAR1', `${size} bytes that do not`)
  })

/** What a file of a model must be before it is placed: where a proxy or a login answers with a page of its own, the page is none. */
import { open } from 'node:fs/promises'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { InputError, inputError, shown } from '../../errors/inputError.js'
import { readBytes, withRegularFile } from '../../storage/regularFile.js'
import { readSafetensors } from '../safetensors/safetensors.js'

/** @param path where the bytes lie for now @param file the name that they are for @throws Mistake that names the address they came from */
export const checkContent = async (path: string, file: string, url: string): Promise<void> => {
  const [isWeights, isData] = [file.endsWith('.safetensors'), file.endsWith('.parquet')]
  if (/^(\u00ef\u00bb\u00bf)?\s*</.test(await beginningOf(path)))
    throw inputError(
      url,
      isWeights ? 'weights in safetensors' : isData ? 'a Parquet file' : 'JSON',
      'a web page (of a proxy, or to log in?); nothing of it is kept',
    )
  try {
    if (isWeights) await readSafetensors(path)
    else if (isData) await checkParquet(path, url)
    else checkObject(parseJson(await readText(path), url), url)
  } catch (thrown) {
    throw thrown instanceof InputError ? inputError(url, thrown.expected, `${thrown.got}; nothing of it is kept`) : thrown
  }
}

const checkObject = (json: unknown, url: string): void => {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw inputError(url, 'a JSON object', shown(json))
}

/** What it says will be checked where it is read; that it is whole, its end tells. */
const checkParquet = (path: string, url: string): Promise<void> =>
  withRegularFile(path, async (handle, size) => {
    const marks = size < 8 ? [] : [await readBytes(handle, path, 0, 4), await readBytes(handle, path, size - 4, 4)]
    if (marks.length === 0 || marks.some((mark) => Buffer.from(mark).toString('latin1') !== 'PAR1'))
      throw inputError(url, 'a Parquet file, which begins and ends with PAR1', `${size} bytes that do not`)
  })

const beginningOf = async (path: string): Promise<string> => {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(100), 0, 100, 0)
    return buffer.toString('latin1', 0, bytesRead)
  } finally {
    await handle.close()
  }
}

/** What a file of a model must be before it is placed: where a proxy or a login answers with a page of its own, the page is none. */
import { open } from 'node:fs/promises'
import { parseJson, readText } from '../jsonText.js'
import { Mistake, mistake, shown } from '../mistake.js'
import { readSafetensors } from '../safetensors/safetensors.js'

/** @param path where the bytes lie for now @param file the name that they are for @throws Mistake that names the address they came from */
export const checkContent = async (path: string, file: string, url: string): Promise<void> => {
  const isWeights = file.endsWith('.safetensors')
  if (/^(\u00ef\u00bb\u00bf)?\s*</.test(await beginningOf(path)))
    throw mistake(url, isWeights ? 'weights in safetensors' : 'JSON', 'a web page (of a proxy, or to log in?); nothing of it is kept')
  try {
    if (isWeights) await readSafetensors(path)
    else checkObject(parseJson(await readText(path), url), url)
  } catch (thrown) {
    throw thrown instanceof Mistake ? mistake(url, thrown.expected, `${thrown.found}; nothing of it is kept`) : thrown
  }
}

const checkObject = (json: unknown, url: string): void => {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw mistake(url, 'a JSON object', shown(json))
}

const beginningOf = async (path: string): Promise<string> => {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(100), 0, 100, 0)
    return buffer.toString('latin1', 0, bytesRead)
  } finally {
    await handle.close()
  }
}

/** A new folder for each test, and the one line that refuses its content: fast, and before any large allocation. */
import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect } from 'vitest'
import { peftFiles } from '../../../accelerated/formats/peft/peft.js'
import { parseConfigFile } from '../../../accelerated/checkpoints/configFile.js'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { elementCount } from '../../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import { roberta } from '../validFiles.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

/** Of the current test; a test may enter another folder. */
export const place = { root: '', folder: '' }
let made = 0
/** Makes a folder before each test of a file. Each test file calls it. */
export const usePlace = (): void => {
  const { folder: root } = temporaryFolder('bounds')
  beforeAll(() => {
    place.root = root
  })
  beforeEach(async () => {
    place.folder = join(place.root, `f${made++}`)
    await mkdir(place.folder)
  })
}

/** The one line, and that it came soon and cheaply. */
export const refusal = async (read: () => unknown): Promise<string> => {
  const [began, held] = [performance.now(), process.memoryUsage().arrayBuffers]
  try {
    await read()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(InputError)
    expect(process.memoryUsage().arrayBuffers - held).toBeLessThan(80_000_000)
    expect(performance.now() - began).toBeLessThan(10_000)
    const { message } = thrown as Error
    expect(message).not.toContain('\n')
    return message.replaceAll(place.folder, 'F').replaceAll(place.root, 'ROOT')
  }
  return 'no error'
}

export const at = (name: string): string => join(place.folder, name)
export const put = (name: string, content: string | Uint8Array | object): Promise<void> =>
  writeFile(at(name), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content))
/** A file of that many bytes, all but its start a hole: the test's disk need not hold it. */
export const sized = async (name: string, start: Uint8Array, size: number): Promise<void> => {
  const handle = await open(at(name), 'w')
  await handle.write(start)
  await handle.truncate(size)
  await handle.close()
}

export const { model, outputs } = parseConfigFile(JSON.stringify(roberta), 'config.json')
export const zeros = (shape: readonly number[]) => ({ shape, data: new Float32Array(elementCount(shape)) })
export const adapter = peftFiles({
  model,
  outputs,
  baseModelName: 'm',
  rank: 2,
  alpha: 2,
  modules: new Map([['encoder.layer.0.attention.self.query', { A: zeros([2, 4]), B: zeros([4, 2]) }]]),
  head: new Map(),
})

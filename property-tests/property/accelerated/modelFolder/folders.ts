/** Folders with tiny checkpoints of both families, intact or broken, and the message of opening one. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect } from 'vitest'
import { parseConfigFile } from '../../../../accelerated/checkpoints/configFile.js'
import { InputError } from '../../../../accelerated/errors/inputError.js'
import { checkFinite } from '../../../../accelerated/checkpoints/frozenWeights.js'
import { headTensor, openModelFolder, type ModelFolder, type OpenOptions } from '../../../../accelerated/checkpoints/modelFolder.js'
import { elementCount } from '../../../../accelerated/checkpoints/safetensors/safetensorsHeader.js'
import type { WritableTensor } from '../../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import type { Head, Model } from '../../../../accelerated/models/architecture.js'
import { sizes } from '../../../hostile/validFiles.js'
import { temporaryFolder } from '../../../support/temporaryFolder.js'

/** The folder of the test file that runs. */
export const place = { root: '' }
let made = 0
/** Makes the folder before a file's tests and removes it after them. Each file calls it. */
export const usePlace = (): void => {
  const { folder } = temporaryFolder('model')
  beforeAll(() => {
    place.root = folder
  })
}

export const roberta = { model_type: 'roberta', ...sizes, type_vocab_size: 1, layer_norm_eps: 1e-5, pad_token_id: 1, hidden_act: 'gelu' }
export const bert = { model_type: 'bert', ...sizes, type_vocab_size: 2, layer_norm_eps: 1e-12, pad_token_id: 0, hidden_act: 'gelu_new' }

export const parsed = (json: object) => parseConfigFile(JSON.stringify(json), 'config.json')
export const modelOf = (json: object): Model => parsed(json).model
export const headOf = (json: object): Head => modelOf(json).sequenceHead(parsed(json).outputs.labels)

/** The tensors of a tiny checkpoint under the names that `rename` gives them. Each holds its index in the list, so that a mix-up shows. */
export const tinyTensors = (json: object, rename: (name: string) => string, head = true): Map<string, WritableTensor> => {
  const shapes = [...modelOf(json).spec.tensors, ...(head ? headOf(json).tensors : [])]
  return new Map(shapes.map(([name, shape], i) => [rename(name), { shape, data: new Float32Array(elementCount(shape)).fill(i) }]))
}

export const prefixed =
  (family: string) =>
  (name: string): string =>
    name.startsWith('classifier') ? name : `${family}.${name}`

/** The file with a tensor's type changed in its header. */
export const asIntegers = (bytes: Uint8Array, name: string): Uint8Array =>
  Buffer.from(Buffer.from(bytes).toString('latin1').replace(`"${name}":{"dtype":"F32"`, `"${name}":{"dtype":"I32"`), 'latin1')

export const folderOf = async (files: Readonly<Record<string, string | Uint8Array | object>>): Promise<string> => {
  const folder = join(place.root, `m${made++}`)
  await mkdir(folder)
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content))
  }
  return folder
}

/** The names of the head's tensors that the files have in the head's shapes. */
export const headTensorsIn = (model: ModelFolder, { tensors }: Head): readonly string[] =>
  [...tensors].filter(([name, shape]) => headTensor(model, name, shape) !== undefined).map(([name]) => name)

export const messageFor = async (folder: string, options?: OpenOptions): Promise<string> => {
  const message = await openModelFolder(folder, options)
    .then((opened) => checkFinite(opened, opened.model.sequenceHead(opened.outputs.labels).tensors))
    .then(
      () => 'no error',
      (thrown: Error) => {
        expect(thrown).toBeInstanceOf(InputError)
        return thrown.message
      },
    )
  expect(message).not.toContain('\n')
  return message.replaceAll(folder, 'M')
}

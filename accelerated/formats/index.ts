/** The layouts in which adapters are saved: one line each. A method names the one that it is saved in; reading asks each whether the files are its own. */
import { join } from 'node:path'
import { inputError, shown } from '../errors/inputError.js'
import type { ModelFolder } from '../checkpoints/modelFolder.js'
import type { Method } from '../methods/method.js'
import type { Adapter, AdapterFormat } from './adapter.js'
import { adapters } from './adapters/adapters.js'
import { fileOf } from './adapterTensors.js'
import { huggingFace } from './huggingFace.js'
import { peftAdalora } from './peft/adalora.js'
import { peftLora } from './peft/lora.js'
import { adapterFiles } from './peft/peft.js'
import { peftTypeOf } from './peft/peftConfig.js'
import { peftPrefix, peftPrompt } from './peft/promptLearning.js'

const formats: Readonly<Record<string, AdapterFormat>> = { peftLora, peftAdalora, peftPrefix, peftPrompt, adapters, huggingFace }

/** Writes an adapter into an existing folder, in the layout of its method. Throws Mistake. */
export const writeAdapter = (folder: string, adapter: Adapter, base: ModelFolder): Promise<void> =>
  formatOf(adapter.method).write(folder, adapter, base)

export const formatOf = ({ name, export: { format } }: Method): AdapterFormat => {
  const found = formats[format]
  if (found === undefined) throw new Error(`${name}: expected a format among ${Object.keys(formats).join(', ')}, got ${format}`)
  return found
}

/** Reads an adapter of any format. Throws Mistake: none there, one of no known format, or one that does not fit the model. */
export const readAdapter = async (folder: string, base: ModelFolder): Promise<Adapter> => {
  for (const format of Object.values(formats)) {
    const adapter = await format.read(folder, base)
    if (adapter !== null) return adapter
  }
  const type = await peftTypeOf(await fileOf(folder, adapterFiles.config))
  throw inputError(
    join(folder, adapterFiles.config),
    'an adapter of a method that salora has',
    type === undefined ? 'one without peft_type' : `peft_type ${shown(type)}`,
  )
}

/** A checkpoint with one tensor less. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { tensorsIn } from '../golden/golden.js'

/** Rewrites the folder's model.safetensors without the tensor of this name. */
export const writeWithout = async (folder: string, name: string): Promise<void> => {
  const file = join(folder, 'model.safetensors')
  const kept = [...tensorsIn(file)].filter(([other]) => other !== name)
  await writeFile(
    file,
    writeSafetensors(new Map(kept.map(([other, { shape, data }]) => [other, { shape, data: Float32Array.from(data) }]))),
  )
}

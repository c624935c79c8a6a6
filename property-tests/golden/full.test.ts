/** Full fine-tuning is that of transformers: what every weight's gradient is, how all of them train, and the folder of a whole model. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import { expectExchanged, exportFolder } from './exchangeGolden.js'
import { predictGolden } from './exportGolden.js'
import {
  compareNumbers,
  expectAgreement,
  families,
  folderOf,
  goldenBounds,
  methodFolder,
  readMethod,
  readTensors,
  tensorsIn,
  type Family,
  type GoldenTensor,
} from './golden.js'
import { describeMethod } from './methodGolden.js'

/** Of a model's file, by our names under a prefix. */
const stored = (prefix: string, folder: string): readonly (readonly [string, GoldenTensor])[] =>
  [...tensorsIn(join(folder, 'model.safetensors'))].map(([name, tensor]) => [prefix + name.replace(/^(roberta|bert)\./, ''), tensor])

/** It starts from the checkpoint and ends with the saved model. The fixture has gradients once, in float64. */
const tensors = (family: Family): ReadonlyMap<string, GoldenTensor> => {
  const gradients = readTensors(family, 'full')
  return new Map([
    ...stored('start/', folderOf(family)),
    ...gradients,
    ...[...gradients].map(([name, tensor]) => [name.replace('float64', 'float32'), tensor] as const),
    ...stored('float32/final/', join(methodFolder(family, 'full'), 'saved')),
  ])
}

describeMethod({
  method: 'full',
  settings: () => ({ method: 'full' }),
  tensors,
  // A constant added to all scores of a query changes no softmax: this gradient is 0 but for rounding, and AdamW walks on the rounding.
  undetermined: (name) => name.endsWith('attention.self.key.bias'),
})

const folder = exportFolder()

describe.each(families)('a model of %s, by transformers', (family) => {
  const golden = readMethod(family, 'full')
  const saved = join(methodFolder(family, 'full'), 'saved')

  it('gives the logits of the folder that transformers saved, opened as an adapter of the base model', async () => {
    const logits = await predictGolden(family, saved, golden)
    expectAgreement(`import, ${family}, full`, [
      compareNumbers('logits', goldenBounds.float32, golden.saved['saved']?.flat() ?? [], logits),
    ])
  })

  it('opened the folder that we wrote without a missing or unexpected key, to the same logits', async () => {
    const at = join(folder(), family, 'full')
    await mkdir(at, { recursive: true })
    const base = await openModelFolder(folderOf(family))
    await writeAdapter(at, await readAdapter(saved, base), base)
    await expectExchanged(family, 'full', at, await predictGolden(family, at, golden))
  })
})

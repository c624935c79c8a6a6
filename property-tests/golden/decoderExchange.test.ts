/**
 * A decoder's adapters and merged weights pass from this library to PEFT and transformers. `make_golden.py --check` ran their side once, on the same
 * bytes that this test exports.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { exportAdapter } from '../../finetuning/use/exportAdapter.js'
import { openTextDecoder } from '../../finetuning/use/modelSessions.js'
import { loadTextModel } from '../../finetuning/use/openModel.js'
import { expectExchanged, exportFolder } from './exchangeGolden.js'
import { exportDecoderGolden, exportNames } from './exportGolden.js'
import { fixtures, readGolden } from './golden.js'

const folder = exportFolder()
const families = ['qwen3', 'gemma2', 'gemma3', 'gpt2', 'phi3', 'opt'] as const
type Family = (typeof families)[number]

/** Logits of the token after each text of the first batch. */
const logitsOf = async (family: Family, model: string, adapter: string | null): Promise<readonly number[]> => {
  const decoder = await openTextDecoder(await loadTextModel({ model, adapter }), { precision: 'float32', threads: 1 }, findDevice('cpu'))
  try {
    return (await decoder.begin(readGolden(family).batches[0]?.inputIds ?? [])).logits().flatMap((row) => [...row])
  } finally {
    await decoder.release()
  }
}

describe.each(families)('%s', (family) => {
  const model = join(fixtures, family)

  it.each(exportNames)(
    "exports the %s adapter that PEFT loaded without a missing or unexpected key, and gives PEFT's logits",
    async (name) => {
      const adapter = await exportDecoderGolden(folder(), family, name)
      await expectExchanged(family, name, adapter, await logitsOf(family, model, adapter))
    },
  )

  it("exports a merged model in the library's own layout, which transformers loads to the same logits", async () => {
    const adapter = await exportDecoderGolden(join(folder(), 'unmerged'), family, 'compact')
    const output = join(folder(), family, 'merged')
    await mkdir(join(folder(), family), { recursive: true })
    await exportAdapter({ model, adapter, format: 'merged', output, precision: 'float32', maxLength: null, targeted: null })
    await expectExchanged(family, 'merged', output, await logitsOf(family, output, null))
  })
})

/**
 * Adapters pass between this library and PEFT in both directions. `make_golden.py --check` ran PEFT's side once, on the same bytes
 * that this test exports. The fixture has their digests beside PEFT's logits.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { writeAdapter } from '../../accelerated/formats/index.js'
import { expectExchanged, exportFolder } from './exchangeGolden.js'
import { exportGolden, exportNames, predictGolden, randomAdapter } from './exportGolden.js'
import { compareNumbers, expectAgreement, families, folderOf, goldenBounds, furtherFamilies, readGolden } from './golden.js'

const folder = exportFolder()

describe.each([...families, ...furtherFamilies])('%s', (family) => {
  it.each(exportNames)(
    "exports the %s adapter that PEFT loaded without a missing or unexpected key, and gives PEFT's logits",
    async (name) => {
      const adapter = await exportGolden(folder(), family, name)
      await expectExchanged(family, name, adapter, await predictGolden(family, adapter, readGolden(family)))
    },
  )
})

describe.each(families)('%s', (family) => {
  it('gives the logits of PEFT for an adapter that PEFT trained, with rank_pattern, alpha_pattern and modules_to_save', async () => {
    const golden = readGolden(family)
    const logits = await predictGolden(family, join(folderOf(family), 'peft-adapter'), golden)
    expectAgreement(`import, ${family}`, [compareNumbers('logits', goldenBounds.float32, golden.peftAdapter.logits.flat(), logits)])
  })
})

/** Other methods than low-rank adapters: the library's numbers for the exported file. Training equals RoBERTa's. */
describe('xlm-roberta', () => {
  it.each([
    { method: 'houlsby', reductionFactor: 8 },
    { method: 'pfeiffer', reductionFactor: 8 },
    { method: 'prefix', numVirtualTokens: 3 },
    { method: 'prompt', numVirtualTokens: 3 },
  ] as const)('exports $method as its library loads it, to the same logits', async (settings) => {
    const [family, at] = ['xlm-roberta', join(folder(), 'xlm-roberta', settings.method)] as const
    await mkdir(at, { recursive: true })
    await writeAdapter(at, await randomAdapter(family, settings), await openModelFolder(folderOf(family)))
    await expectExchanged(family, settings.method, at, await predictGolden(family, at, readGolden(family)))
  })
})

/**
 * Adapters pass between this library and PEFT in both directions. PEFT's side was run once by `make_golden.py --check`, on the very bytes
 * that are exported here: their digests stand in the fixture beside the logits that PEFT gave.
 */
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { expectExchanged, exportFolder } from './exchangeGolden.js'
import { exportGolden, exportNames, predictGolden } from './exportGolden.js'
import { compareNumbers, expectAgreement, families, folderOf, goldenBounds, lowRankFamilies, readGolden } from './golden.js'

const folder = exportFolder()

describe.each([...families, ...lowRankFamilies])('%s', (family) => {
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

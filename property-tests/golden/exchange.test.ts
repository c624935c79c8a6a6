/**
 * Adapters pass between this library and PEFT in both directions. PEFT's side was run once by `make_golden.py --check`, on the very bytes
 * that are exported here: their digests stand in the fixture beside the logits that PEFT gave.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exportGolden, exportNames, predictGolden, writeLogits } from './exportGolden.js'
import { compareNumbers, expectAgreement, families, fixtures, folderOf, goldenBounds, readGolden } from './golden.js'

type Checked = Readonly<Record<'sha256 of adapter_model.safetensors' | 'sha256 of adapter_config.json', string>> & {
  readonly logits: ReadonlyArray<number>
}

const wanted = process.env['GOLDEN_EXPORT']
let folder = ''
beforeAll(async () => {
  folder = wanted ?? (await mkdtemp(join(tmpdir(), 'salora-golden-')))
})
afterAll(async () => {
  if (wanted === undefined) await rm(folder, { recursive: true })
})

describe.each(families)('%s', (family) => {
  it.each(exportNames)(
    "exports the %s adapter that PEFT loaded without a missing or unexpected key, and gives PEFT's logits",
    async (name) => {
      const adapter = await exportGolden(folder, family, name)
      const logits = await predictGolden(family, adapter, readGolden(family))
      if (wanted !== undefined) return writeLogits(adapter, logits)
      const checked = (JSON.parse(await readFile(join(fixtures, 'exchange.json'), 'utf8')) as Record<string, Checked>)[
        `${family}/${name}`
      ] as Checked
      for (const file of ['adapter_model.safetensors', 'adapter_config.json'] as const) {
        expect(
          createHash('sha256')
            .update(await readFile(join(adapter, file)))
            .digest('hex'),
          file,
        ).toBe(checked[`sha256 of ${file}`])
      }
      expectAgreement(`export, ${family}, ${name}`, [compareNumbers('logits', goldenBounds.float32, checked.logits, logits)])
    },
  )

  it('gives the logits of PEFT for an adapter that PEFT trained, with rank_pattern, alpha_pattern and modules_to_save', async () => {
    const golden = readGolden(family)
    const logits = await predictGolden(family, join(folderOf(family), 'peft-adapter'), golden)
    expectAgreement(`import, ${family}`, [compareNumbers('logits', goldenBounds.float32, golden.peftAdapter.logits.flat(), logits)])
  })
})

/** Houlsby's and Pfeiffer's adapters are those of the adapters library: what they compute, how they train, and the folders that either writes. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Adapter } from '../../accelerated/formats/adapter.js'
import { readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import { expectExchanged, exportFolder } from './exchangeGolden.js'
import { predictGolden, randomAdapter } from './exportGolden.js'
import { compareNumbers, expectAgreement, familiesOf, folderOf, goldenBounds, methodFolder, readMethod, type Family } from './golden.js'
import { describeMethod } from './methodGolden.js'

type Name = 'houlsby' | 'pfeiffer'
const names: readonly Name[] = ['houlsby', 'pfeiffer']
const folder = exportFolder()

for (const method of names) describeMethod({ method, settings: ({ reduction = NaN }) => ({ method, reductionFactor: reduction }) })

/** One with numbers everywhere, head and BERT's pooler included. */
const adapterOf = (family: Family, name: Name): Promise<Adapter> => randomAdapter(family, { method: name, reductionFactor: 8 })

const cases = names.flatMap((name) => familiesOf(name).map((family) => [name, family] as const))

describe.each(cases)('%s on %s', (name, family) => {
  const golden = readMethod(family, name)

  it.each(['saved', 'saved-flexible'])("gives the library's logits for the folder that it saved: %s", async (saved) => {
    const logits = await predictGolden(family, join(methodFolder(family, name), saved), golden)
    expectAgreement(`import, ${family}, ${name}, ${saved}`, [
      compareNumbers('logits', goldenBounds.float32, golden.saved[saved]?.flat() ?? [], logits),
    ])
  })

  it("writes what it read in the library's bytes, except for the adapter's name", async () => {
    const [saved, base] = [join(methodFolder(family, name), 'saved'), await openModelFolder(folderOf(family))]
    const output = await mkdtemp(join(tmpdir(), 'salora-adapters-'))
    await writeAdapter(output, await readAdapter(saved, base), base)
    for (const file of ['adapter.safetensors', 'adapter_config.json', 'model_head.safetensors', 'head_config.json']) {
      const theirs = (await readFile(join(saved, file), 'latin1'))
        .replaceAll('.adapters.golden.', '.adapters.salora.')
        .replace('"name": "golden"', '"name": "salora"')
      expect(await readFile(join(output, file), 'latin1'), file).toBe(theirs)
    }
    await rm(output, { recursive: true })
  })

  it('exports an adapter and its head that the library loaded without a missing or unexpected key, to the same logits', async () => {
    const exported = join(folder(), family, name)
    await mkdir(exported, { recursive: true })
    await writeAdapter(exported, await adapterOf(family, name), await openModelFolder(folderOf(family)))
    await expectExchanged(family, name, exported, await predictGolden(family, exported, golden))
  })
})

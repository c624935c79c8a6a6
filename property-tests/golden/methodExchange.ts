/**
 * Adapters of one method pass between this library and the method's own, in both directions. `make_golden.py --check` ran the other side
 * once, on the same bytes that this test exports. exchange.json has their digests beside the other library's logits.
 */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Weights } from '../../accelerated/formats/adapter.js'
import { writeAdapter } from '../../accelerated/formats/index.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { openTrainedAdapter } from '../../finetuning/use/openModel.js'
import {
  compareNumbers,
  expectAgreement,
  familiesOf,
  fixtures,
  folderOf,
  goldenBounds,
  methodFolder,
  readMethod,
  readTensors,
  under,
  type Family,
  type GoldenTensor,
  type Method,
  type MethodGolden,
} from './golden.js'

type ExchangeOptions = {
  readonly method: Method
  readonly settings: (golden: MethodGolden['settings']) => SettingsInput
}

/** Writes FOLDER/family/method: what the golden training run ended with, in the method's layout. → that folder */
const exportFinal = async (folder: string, family: Family, { method: name, settings: given }: ExchangeOptions): Promise<string> => {
  const base = await openModelFolder(folderOf(family))
  const settings = resolveSettings(given(readMethod(family, name).settings))
  const method = findMethod(settings.method)
  const phase = method.phases.start(base.model.spec, settings)
  const names = new Set(method.train.tensors(phase, settings).map((tensor) => tensor.name))
  const float32 = ([key, { shape, data }]: readonly [string, GoldenTensor]) => [key, { shape, data: Float32Array.from(data) }] as const
  const final: readonly (readonly [string, Weights])[] = [...under(readTensors(family, name), 'float32/final/')].map(float32)
  const at = join(folder, family, name)
  await mkdir(at, { recursive: true })
  const adapter = {
    model: base.model,
    baseModelName: `golden/${family}`,
    method,
    settings,
    phase,
    tensors: new Map(final.filter(([key]) => names.has(key))),
    outputs: { head: 'sequence', labels: 3, problemType: 'single_label_classification' },
    head: new Map(final.filter(([key]) => !names.has(key))),
    labelNames: ['a', 'b', 'c'],
  } as const
  await writeAdapter(at, adapter, base)
  return at
}

/** What an adapter says of all golden texts, on the path of `salora predict`. → [texts, labels], row by row */
const predictTexts = async (family: Family, adapter: string, { batches }: MethodGolden): Promise<readonly number[]> => {
  const machine = { device: 'cpu', precision: 'float32', threads: 1, maxLength: null, batchSize: 4 }
  const opened = await openTrainedAdapter({ model: folderOf(family), adapter, ...machine })
  const texts = batches.flatMap((batch) => batch.texts.map(([text, textPair]) => (textPair === undefined ? { text } : { text, textPair })))
  return (await opened.predict(texts).finally(opened.release)).flat()
}

export const describeExchange = (options: ExchangeOptions): void => {
  const { method } = options
  const target = process.env['GOLDEN_EXPORT']
  let folder = ''
  beforeAll(async () => {
    folder = target ?? (await mkdtemp(join(tmpdir(), 'salora-golden-')))
  })
  afterAll(async () => {
    if (target === undefined) await rm(folder, { recursive: true })
  })

  describe.each(familiesOf(method))(`adapters of ${method} on %s`, (family) => {
    const golden = readMethod(family, method)

    it("are exported as files that its library loaded without a missing or unexpected key, and give that library's logits", async () => {
      const adapter = await exportFinal(folder, family, options)
      const logits = await predictTexts(family, adapter, golden)
      if (target !== undefined) return writeFile(join(adapter, 'logits.json'), JSON.stringify(logits))
      const all = JSON.parse(await readFile(join(fixtures, 'exchange.json'), 'utf8')) as Readonly<
        Record<string, Readonly<Record<string, unknown>>>
      >
      const { logits: theirs, ...digests } = all[`${family}/${method}`] ?? {}
      for (const [file, digest] of Object.entries(digests)) {
        const bytes = await readFile(join(adapter, file.replace('sha256 of ', '')))
        expect(createHash('sha256').update(bytes).digest('hex'), file).toBe(digest)
      }
      expect(Object.keys(digests).length).toBeGreaterThan(1)
      expectAgreement(`export, ${family}, ${method}`, [compareNumbers('logits', goldenBounds.float32, theirs as number[], logits)])
    })

    it.each(Object.entries(golden.saved))('that its library saved in %s give its logits', async (name, theirs) => {
      const logits = await predictTexts(family, join(methodFolder(family, method), name), golden)
      expectAgreement(`import, ${family}, ${method}`, [compareNumbers('logits', goldenBounds.float32, theirs.flat(), logits)])
    })
  })
}

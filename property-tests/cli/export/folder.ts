/** A folder with models, their adapters, and their exports. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { env } from '@huggingface/transformers'
import { beforeAll } from 'vitest'
import { exportAdapter, type ExportOptions, type ExportReport } from '../../../finetuning/use/exportAdapter.js'
import type { ExportFormat } from '../../../finetuning/use/exportFormats.js'
import { openTrainedAdapter, type Text } from '../../../finetuning/use/openModel.js'
import { writeAdapter, writeFamily, type Family } from '../tinyAdapter.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

/** Of the current test file. */
export const place = { root: '' }
/** Writes the models and adapters before a file's tests and removes them after. Each test file calls it. */
export const usePlace = (): void => {
  const { folder } = temporaryFolder('export')
  beforeAll(async () => {
    env.allowRemoteModels = false
    place.root = folder
    for (const family of families) await writeAdapter(at(`${family}-adapter`), await writeFamily(at(family), family))
  })
}

export const families: readonly Family[] = ['roberta', 'bert']
export const at = (...path: readonly string[]): string => join(place.root, ...path)
export const texts: readonly Text[] = ['A wonderful film.', 'bad', 'It goes on, and on, and on; then it ends. Why?', 'no: 3.5 of 5'].map(
  (text) => ({ text }),
)
export const json = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>

export const logits = async (
  model: string,
  adapter: string | null,
  precision: 'float32' | 'float64' = 'float64',
  of = texts,
): Promise<readonly number[]> => {
  const opened = await openTrainedAdapter({ model, adapter, device: 'cpu', precision, threads: 1, maxLength: 64, batchSize: 3 })
  try {
    return (await opened.predict(of)).flat()
  } finally {
    await opened.release()
  }
}

export const exported = (family: Family, format: ExportFormat, output: string, more: Partial<ExportOptions> = {}): Promise<ExportReport> =>
  exportAdapter({
    model: at(family),
    adapter: at(`${family}-adapter`),
    format,
    output: at(output),
    precision: 'float32',
    maxLength: 64,
    targeted: ['attention.self.query', 'intermediate.dense', 'output.dense'].flatMap((name) => [
      `encoder.layer.0.${name}`,
      `encoder.layer.1.${name}`,
    ]),
    ...more,
  })

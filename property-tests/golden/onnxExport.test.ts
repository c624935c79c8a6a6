/** The graph exported for transformers.js includes the method's parts beside the matrices. Its answers are those of the method's own library. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Feed } from '../../accelerated/engines/feeds.js'
import { openModelFile } from '../../accelerated/engines/onnxRuntimeNode.js'
import { exportAdapter } from '../../finetuning/use/exportAdapter.js'
import type { ExportFormat } from '../../finetuning/use/exportFormats.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import {
  compareNumbers,
  expectAgreement,
  folderOf,
  goldenBounds,
  methodFolder,
  readMethod,
  type Family,
  type GoldenBatch,
} from './golden.js'

const { folder: root } = temporaryFolder('onnx')

const exported = async (method: Method, family: Family, format: ExportFormat): Promise<string> => {
  const output = join(root, `${family}-${method}-${format}`)
  const adapter = join(methodFolder(family, method), 'saved')
  await exportAdapter({ model: folderOf(family), adapter, format, output, precision: 'float32', maxLength: null, targeted: null })
  return output
}

/** Logits of a padded batch, as any caller of the file asks for them. */
const answers = async (file: string, { inputIds, tokenTypeIds }: GoldenBatch, padding: number): Promise<readonly number[]> => {
  const width = Math.max(...inputIds.map(({ length }) => length))
  const padded = (rows: readonly (readonly number[])[], value: number): Feed => ({
    shape: [rows.length, width],
    data: BigInt64Array.from(rows.flatMap((row) => Array.from({ length: width }, (_, i) => BigInt(row[i] ?? value)))),
  })
  const mask = inputIds.map((row) => row.map(() => 1))
  const session = await openModelFile(file, { threads: 1 })
  const feeds = { input_ids: padded(inputIds, padding), attention_mask: padded(mask, 0), token_type_ids: padded(tokenTypeIds, 0) }
  const { logits } = await session.run(feeds).finally(session.release)
  return Array.from(logits ?? [], Number)
}

type Method = 'houlsby' | 'pfeiffer' | 'prefix' | 'prompt'
/** One of each kind, where a family's own layers take part: scores by distance, windows and rotation, embeddings of another width, names of its own. */
const cases: readonly (readonly [Method, Family])[] = [
  ['prompt', 'deberta-v2-plain'],
  ['prompt', 'mpnet'],
  ['prompt', 'modernbert'],
  ['prompt', 'electra'],
  ['prefix', 'electra'],
  ['houlsby', 'distilbert'],
  ['pfeiffer', 'deberta-v2'],
]

describe.each(cases)('%s on %s', (method, family) => {
  const { batches, saved } = readMethod(family, method)

  it("answers with the library's logits from its transformers.js export", async () => {
    const file = join(await exported(method, family, 'transformers.js'), 'onnx', 'model.onnx')
    const logits = []
    for (const batch of batches) logits.push(...(await answers(file, batch, family === 'mpnet' ? 1 : 0)))
    expect(logits).toHaveLength(48)
    expectAgreement(`export, ${family}, ${method}, transformers.js`, [
      compareNumbers('logits', goldenBounds.float32, saved['saved']?.flat() ?? [], logits),
    ])
  })
})

it.each([
  ['prompt', 'mpnet', 'peft'],
  ['pfeiffer', 'distilbert', 'adapters'],
] as const)('%s on %s cannot be merged, which is reported in one line', async (method, family, formats) => {
  await expect(exported(method, family, 'merged')).rejects.toThrow(
    `format: expected one of ${formats}, transformers.js for an adapter of method ${method}, got merged`,
  )
})

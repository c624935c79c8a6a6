/** Token classification is transformers' and PEFT's: logits, loss and gradients of every family, and the files of the adapter. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { openModelFile } from '../../accelerated/engines/onnxRuntimeNode.js'
import { exportMerged } from '../../accelerated/formats/exportMerged.js'
import { exportOnnx } from '../../accelerated/formats/exportOnnx.js'
import { readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import { tokenClassification, type TaggedExample } from '../../finetuning/tasks/tokenClassification/objective.js'
import { objectiveStep } from './objectiveStep.js'
import { compareNumbers, expectAgreement, families, folderOf, furtherFamilies, readGolden, type Family } from './golden.js'

type TokenGolden = {
  readonly labels: readonly (readonly number[])[]
  readonly logits: readonly (readonly number[])[]
  readonly loss: number
  readonly gradients: Readonly<Record<string, readonly number[]>>
}

const peftFolder = (family: Family): string => join(folderOf(family), 'token-classification')

const open = async (family: Family) => {
  const golden = JSON.parse(readFileSync(join(peftFolder(family), 'golden.json'), 'utf8')) as TokenGolden
  const base = await openModelFolder(folderOf(family))
  const adapter = await readAdapter(peftFolder(family), base)
  const { inputIds, tokenTypeIds } = readGolden(family).batches[0]!
  const examples = inputIds.map((ids, i): TaggedExample => {
    const targets = golden.labels[i] ?? []
    return { inputIds: ids, tokenTypeIds: tokenTypeIds[i], targets, places: ids.map((_, place) => place), row: i + 1 }
  })
  return { golden, base, adapter, examples }
}

const inTemporaryFolder = async <T>(use: (folder: string) => Promise<T>): Promise<T> => {
  const folder = await mkdtemp(join(tmpdir(), 'salora-token-classes-'))
  return use(folder).finally(() => rm(folder, { recursive: true }))
}

describe.each([...families, ...furtherFamilies])('%s under PEFT with TOKEN_CLS', (family) => {
  it('has our logits, loss and gradients (float64)', async () => {
    const { golden, base, adapter, examples } = await open(family)
    const { outputs } = adapter
    expect(outputs).toEqual({ head: 'token', labels: 5 })
    const step = await objectiveStep(base, adapter, tokenClassification(base.model, outputs), examples)
    expectAgreement(`token classification, ${family}`, [
      compareNumbers('logits', 1e-9, golden.logits.flat(), step.answers),
      compareNumbers('loss', 1e-9, [golden.loss], step.loss),
      ...Object.entries(golden.gradients).map(([name, expected]) =>
        compareNumbers(`gradient of ${name}`, 1e-9, expected, step.gradientOf(name)),
      ),
    ])
  })

  it('has the tensors, the names and the task type of our files, and the logits of our ONNX export and merged model', async () => {
    const { golden, base, adapter, examples } = await open(family)
    await inTemporaryFolder(async (folder) => {
      await writeAdapter(folder, adapter, base)
      const [theirs, ours] = [await contents(peftFolder(family)), await contents(folder)]
      expect(ours.shapes).toEqual(theirs.shapes)
      expect(ours.config).toMatchObject({ task_type: 'TOKEN_CLS', target_modules: expect.any(Array) as unknown })
    })
    await inTemporaryFolder(async (folder) => {
      const trained = { base, adapter, head: adapter.head }
      await exportOnnx(folder, trained, ['O', 'B-a', 'I-a', 'B-b', 'I-b'])
      await exportMerged(join(folder), trained, ['O', 'B-a', 'I-a', 'B-b', 'I-b'])
      const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as { readonly architectures: readonly string[] }
      expect(config.architectures).toEqual([base.model.naming.sequenceClassifier.replace('Sequence', 'Token')])
      expect(config).not.toHaveProperty('problem_type')
      expect((await openModelFolder(folder)).outputs).toEqual({ head: 'token', labels: 5 })
      const logits = await onnxLogits(join(folder, 'onnx', 'model.onnx'), examples, base.model.paddingIndex)
      expectAgreement(`ONNX, ${family}`, [compareNumbers('logits', 2e-5, golden.logits.flat(), logits)])
    })
  })
})

const contents = async (folder: string) => {
  const { tensors } = await readSafetensors(join(folder, 'adapter_model.safetensors'))
  const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as object
  return { shapes: Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]).sort()), config }
}

/** The logits of real tokens, from padded ids and a mask. */
const onnxLogits = async (file: string, examples: readonly TaggedExample[], padding: number): Promise<readonly number[]> => {
  const width = Math.max(...examples.map(({ inputIds }) => inputIds.length))
  const padded = (rows: readonly ArrayLike<number>[], value: number) => ({
    shape: [rows.length, width],
    data: BigInt64Array.from(rows.flatMap((row) => Array.from({ length: width }, (_, i) => BigInt(row[i] ?? value)))),
  })
  const session = await openModelFile(file, { threads: 1 })
  const { logits = [] } = await session
    .run({
      input_ids: padded(
        examples.map(({ inputIds }) => inputIds),
        padding,
      ),
      attention_mask: padded(
        examples.map(({ inputIds }) => Array.from(inputIds, () => 1)),
        0,
      ),
      token_type_ids: padded(
        examples.map(({ tokenTypeIds = [] }) => tokenTypeIds),
        0,
      ),
    })
    .finally(session.release)
  return examples.flatMap(({ inputIds }, text) =>
    Array.from(logits as ArrayLike<number>).slice(text * width * 5, (text * width + inputIds.length) * 5),
  )
}

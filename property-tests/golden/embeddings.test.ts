/** Sentence embeddings are those of transformers and PEFT: vectors, losses and gradients of every family, and the files of the adapter. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import { sentenceEmbedding, type PairExample } from '../../finetuning/tasks/embeddings/objective.js'
import { objectiveStep } from './objectiveStep.js'
import { compareNumbers, expectAgreement, families, folderOf, furtherFamilies, readGolden, type Family } from './golden.js'

type LossGolden = { readonly loss: number; readonly gradients: Readonly<Record<string, readonly number[]>> }
type Golden = {
  readonly scores: readonly number[]
  readonly embeddings: readonly (readonly number[])[]
  readonly ranking: LossGolden
  readonly similarity: LossGolden
}

const peftFolder = (family: Family): string => join(folderOf(family), 'embeddings')

describe.each([...families, ...furtherFamilies])('%s under PEFT with FEATURE_EXTRACTION', (family) => {
  it.each(['ranking', 'similarity'] as const)('has our vectors, %s loss and gradients (float64)', async (loss) => {
    const golden = JSON.parse(readFileSync(join(peftFolder(family), 'golden.json'), 'utf8')) as Golden
    const base = await openModelFolder(folderOf(family))
    const adapter = await readAdapter(peftFolder(family), base)
    expect(adapter.outputs).toEqual({ head: 'embedding', labels: 0 })
    const { inputIds } = readGolden(family).batches[0]!
    const examples = [0, 1].map((i): PairExample => {
      const [a, b] = [inputIds[2 * i] ?? [], inputIds[2 * i + 1] ?? []]
      return { inputIds: [...a, ...b], ends: [a.length, a.length + b.length], score: golden.scores[i] ?? NaN, row: i + 1 }
    })
    const step = await objectiveStep(base, adapter, sentenceEmbedding(base.model, loss), examples)
    expectAgreement(`embeddings, ${family}`, [
      compareNumbers('vectors', 1e-9, golden.embeddings.flat(), step.answers),
      compareNumbers('loss', 1e-9, [golden[loss].loss], step.loss),
      ...Object.entries(golden[loss].gradients).map(([name, expected]) =>
        compareNumbers(`gradient of ${name}`, 1e-9, expected, step.gradientOf(name)),
      ),
    ])
  })

  it('has the tensors and the task type of our files, whose names have no prefix', async () => {
    const base = await openModelFolder(folderOf(family))
    const folder = await mkdtemp(join(tmpdir(), 'salora-embeddings-'))
    await writeAdapter(folder, await readAdapter(peftFolder(family), base), base)
    const shapes = async (at: string) =>
      [...(await readSafetensors(join(at, 'adapter_model.safetensors'))).tensors].map(([name, { shape }]) => [name, shape]).sort()
    expect(await shapes(folder)).toEqual(await shapes(peftFolder(family)))
    expect(JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'))).toMatchObject({
      task_type: 'FEATURE_EXTRACTION',
      modules_to_save: null,
    })
    await rm(folder, { recursive: true })
  })
})

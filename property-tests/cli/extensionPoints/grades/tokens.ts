/** Tokens of an essay, with its grade. */
import type { ModelFolder } from '../../../../accelerated/checkpoints/modelFolder.js'
import { loadTokenizer } from '../../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { Example } from '../../../../finetuning/data/dataset.js'
import type { ExampleTokenizer } from '../../../../finetuning/tasks/exampleTokenizer.js'
import type { GradedExample } from './objective.js'

export const openEssayTokens = async (
  { folder, model, storage }: ModelFolder,
  maxLength: number,
): Promise<ExampleTokenizer<GradedExample>> => {
  const { encode } = await loadTokenizer(folder, model, storage)
  const all = (examples: Iterable<Example>) => {
    const list = Array.from(examples, ({ text, label, row }) => ({ ...encode(text, undefined, maxLength), grade: label, row }))
    return { length: list.length, at: (index: number) => list[index] }
  }
  return { training: all, evaluation: all, warnings: () => ['essays are graded by number'] }
}

/** Tokenizes multiple choice as lm-evaluation-harness does ARC: `Question: …\nAnswer:`, and each answer after a blank. No end of text follows. */
import { loadTokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import type { LabeledText } from '../../../accelerated/objectives/labeledTokens.js'
import { choiceExample, type ChoiceExample } from './objective.js'
import { choiceText } from './rows.js'
import type { Example } from '../../data/dataset.js'
import type { ExampleTokenizer } from '../exampleTokenizer.js'
import { segmentTokens } from '../texts/learnedTokens.js'
import { asExample } from '../texts/tokens.js'

/** Training reads the right answer, and an evaluation reads all. A question that is too long is left out: a cut one is another. */
export const openChoiceTokens = async (
  { folder, model, storage }: ModelFolder,
  maxLength: number,
): Promise<ExampleTokenizer<ChoiceExample>> => {
  const tokenizer = await loadTokenizer(folder, model, storage)
  let [questions, tooLong] = [0, 0]
  const tokensOf = (question: string, answer: string, row: number): LabeledText => {
    const segments = [
      { text: `Question: ${question}\nAnswer:`, learned: false },
      { text: ` ${answer}`, learned: true },
    ]
    return asExample(segmentTokens(tokenizer, segments, tokenizer.start), false, row)
  }
  const read = (examples: Iterable<Example>, all: boolean) => {
    const list: ChoiceExample[] = []
    for (const { text, label, row } of examples) {
      questions++
      const { question, choices } = choiceText(text)
      const texts = choices.map((answer) => tokensOf(question, answer, row))
      const lengths = choices.map(({ length }) => length)
      if (texts.some(({ inputIds }) => inputIds.length > maxLength)) tooLong++
      else if (all) list.push(choiceExample(row, texts, { right: label, lengths }))
      else list.push(choiceExample(row, texts.slice(label, label + 1), { right: 0, lengths: lengths.slice(label, label + 1) }))
    }
    if (list.length === 0) throw inputError('--max-length', 'a question that fits', `${maxLength}, and ${tooLong} longer ones`)
    return { length: list.length, at: (index: number) => list[index] }
  }
  return {
    training: (examples) => read(examples, false),
    evaluation: (examples) => read(examples, true),
    warnings: () =>
      tooLong === 0 ? [] : [`${tooLong} of ${questions} questions are longer than --max-length ${maxLength} and are left out`],
  }
}

/** Tokenizes rated answers, each with a mismatched text: its prompt with the answer of another row. Answers that are too long are left out. */
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { ratedExample, type RatedExample } from './kto.js'
import { unlabeled, type LabeledText } from '../../../accelerated/objectives/labeledTokens.js'
import type { Example } from '../../data/dataset.js'
import type { PromptTemplate } from '../../data/promptTemplates.js'
import { openAnswerTokens } from './answerTokens.js'
import type { ExampleTokenizer } from '../exampleTokenizer.js'

type Rated = Pick<RatedExample, 'answer' | 'isDesirable' | 'row'>

/** @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openRatedTokens = async (
  base: ModelFolder,
  promptTemplate: PromptTemplate,
  maxLength: number,
): Promise<ExampleTokenizer<RatedExample>> => {
  const tokensOf = await openAnswerTokens(base, promptTemplate)
  let [answers, tooLong, shortest] = [0, 0, Infinity]
  const all = (examples: Iterable<Example>) => {
    const [kept, longerBefore]: [Rated[], number] = [[], tooLong]
    for (const { text, label, row } of examples) {
      answers++
      const answer = tokensOf(text, row)
      shortest = Math.min(shortest, answer.inputIds.length)
      if (answer.inputIds.length <= maxLength) kept.push({ answer, row, isDesirable: label === 1 })
      else tooLong++
    }
    if (kept.length === 0)
      throw inputError('--max-length', `at least ${shortest}, the tokens of the shortest prompt with its answer`, String(maxLength))
    const desirable = kept.filter(({ isDesirable }) => isDesirable).length
    if (desirable === 0 || desirable === kept.length) {
      const longer = tooLong - longerBefore
      const got = `${kept.length} with label ${desirable > 0}${longer === 0 ? '' : `, and ${longer} longer than --max-length ${maxLength}`}`
      throw inputError('--data', 'answers with label true and answers with label false', got)
    }
    const list = kept.map(({ answer, isDesirable, row }, i) =>
      ratedExample(row, { answer, isDesirable, mismatched: mismatchedText(answer, otherRow(kept, i).answer, maxLength) }),
    )
    return { length: list.length, at: (index: number) => list[index] }
  }
  return {
    training: all,
    evaluation: all,
    warnings: () => (tooLong === 0 ? [] : [`${tooLong} of ${answers} answers are longer than --max-length ${maxLength} and are left out`]),
  }
}

/** Half of the rows away: neighbors often answer the same prompt. */
const otherRow = (rows: ReadonlyArray<Rated>, at: number): Rated => rows[(at + Math.ceil(rows.length / 2)) % rows.length] as Rated

/** The prompt of one text and the answer of another, cut at `maxLength`. */
const mismatchedText = (prompt: LabeledText, answer: LabeledText, maxLength: number): LabeledText => {
  const [before, from] = [answerStart(prompt), answerStart(answer)]
  return {
    row: prompt.row,
    inputIds: [...idsOf(prompt.inputIds).slice(0, before), ...idsOf(answer.inputIds).slice(from)].slice(0, maxLength),
    // the last token of the prompt has the first of the answer as its target
    targets: [...new Array<number>(before - 1).fill(unlabeled), ...idsOf(answer.targets).slice(from - 1)]
      .slice(0, maxLength)
      .map((target, i) => (i === maxLength - 1 ? unlabeled : target)),
  }
}

const idsOf = (ids: ArrayLike<number>): ReadonlyArray<number> => Array.from(ids)

/** The place of the first learned token. */
const answerStart = ({ targets }: LabeledText): number => idsOf(targets).findIndex((target) => target !== unlabeled) + 1

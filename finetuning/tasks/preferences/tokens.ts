/** Tokenizes answers with their prompts: pairs of a chosen and a rejected answer, and rated answers for KTO. The loss covers the answers alone. */
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { type LabeledText, unlabeled } from '../../../accelerated/objectives/labeledTokens.js'
import { preferenceText, type PreferenceText } from './examples.js'
import type { ChosenTemplate } from '../../data/promptTemplates.js'
import { conversationSegments } from '../texts/conversationTokens.js'
import { segmentTokens, withEnd, type Segment } from '../texts/learnedTokens.js'
import { asExample, openTemplateTokenizer } from '../texts/tokens.js'
import { preferenceExample, type PreferenceExample } from './objective.js'
import type { Example } from '../../data/dataset.js'
import type { ExampleTokenizer } from '../exampleTokenizer.js'
import { ratedExample, type RatedExample } from './kto.js'

/** @returns the tokens of a stored text @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openAnswerTokens = async (
  base: ModelFolder,
  template: ChosenTemplate,
): Promise<(json: string, row: number) => LabeledText> => {
  const { tokenizer, ends, chat } = await openTemplateTokenizer(base, template)
  const splitSegments = (text: PreferenceText): readonly Segment[] => {
    if ('prompt' in text)
      return [
        { text: text.prompt, learned: false },
        { text: text.answer, learned: true },
      ]
    if (chat === null) throw new Error('answerTokens: expected a chat template for messages')
    const segments = conversationSegments(text.messages, chat)
    const answer = segments.findLastIndex(({ learned }) => learned)
    return segments.map((segment, i) => (i === answer ? segment : { ...segment, learned: false }))
  }
  return (json, row) =>
    asExample(
      withEnd(segmentTokens(tokenizer, splitSegments(preferenceText(json)), chat === null ? tokenizer.start : []), ends),
      false,
      row,
    )
}

/** @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openPreferenceTokens = async (
  base: ModelFolder,
  template: ChosenTemplate,
  maxLength: number,
): Promise<ExampleTokenizer<PreferenceExample>> => {
  const tokenizeAnswer = await openAnswerTokens(base, template)
  let [pairs, tooLong, shortest] = [0, 0, Infinity]
  const all = (examples: Iterable<Example>) => {
    const list: PreferenceExample[] = []
    for (const { text, textPair = '', row } of examples) {
      pairs++
      const [chosen, rejected] = [tokenizeAnswer(text, row), tokenizeAnswer(textPair, row)]
      const length = Math.max(chosen.inputIds.length, rejected.inputIds.length)
      shortest = Math.min(shortest, length)
      if (length <= maxLength) list.push(preferenceExample(row, chosen, rejected))
      else tooLong++
    }
    if (list.length === 0)
      throw inputError(option('maxLength'), `at least ${shortest}, the tokens of the shortest prompt with both answers`, String(maxLength))
    return { length: list.length, at: (index: number) => list[index] }
  }
  return {
    training: all,
    evaluation: all,
    warnings: () => (tooLong === 0 ? [] : [`${tooLong} of ${pairs} pairs are longer than --max-length ${maxLength} and are left out`]),
  }
}

type Rated = Pick<RatedExample, 'answer' | 'isDesirable' | 'row'>

/** @throws InputError if the model has no chat template and `promptTemplate` is `chat` */
export const openRatedTokens = async (
  base: ModelFolder,
  template: ChosenTemplate,
  maxLength: number,
): Promise<ExampleTokenizer<RatedExample>> => {
  const tokenizeAnswer = await openAnswerTokens(base, template)
  let [answers, tooLong, shortest] = [0, 0, Infinity]
  const all = (examples: Iterable<Example>) => {
    const [kept, longerBefore]: [Rated[], number] = [[], tooLong]
    for (const { text, label, row } of examples) {
      answers++
      const answer = tokenizeAnswer(text, row)
      shortest = Math.min(shortest, answer.inputIds.length)
      if (answer.inputIds.length <= maxLength) kept.push({ answer, row, isDesirable: label === 1 })
      else tooLong++
    }
    if (kept.length === 0)
      throw inputError(option('maxLength'), `at least ${shortest}, the tokens of the shortest prompt with its answer`, String(maxLength))
    const desirable = kept.filter(({ isDesirable }) => isDesirable).length
    if (desirable === 0 || desirable === kept.length) {
      const longer = tooLong - longerBefore
      const got = words`${kept.length} with label ${desirable > 0 ? 'true' : 'false'}${longer === 0 ? '' : words`, and ${longer} longer than ${option('maxLength')} ${maxLength}`}`
      throw inputError(option('data'), 'answers with label true and answers with label false', got)
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
const otherRow = (rows: readonly Rated[], at: number): Rated => rows[(at + Math.ceil(rows.length / 2)) % rows.length] as Rated

/** The prompt of one text and the answer of another, cut at `maxLength`. */
const mismatchedText = (prompt: LabeledText, answer: LabeledText, maxLength: number): LabeledText => {
  const [before, from] = [answerStart(prompt), answerStart(answer)]
  return {
    row: prompt.row,
    inputIds: [...toIds(prompt.inputIds).slice(0, before), ...toIds(answer.inputIds).slice(from)].slice(0, maxLength),
    // the last token of the prompt has the first of the answer as its target
    targets: [...new Array<number>(before - 1).fill(unlabeled), ...toIds(answer.targets).slice(from - 1)]
      .slice(0, maxLength)
      .map((target, i) => (i === maxLength - 1 ? unlabeled : target)),
  }
}

const toIds = (ids: ArrayLike<number>): readonly number[] => Array.from(ids)

/** The place of the first learned token. */
const answerStart = ({ targets }: LabeledText): number => toIds(targets).findIndex((target) => target !== unlabeled) + 1

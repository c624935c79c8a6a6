/** What the sentence field shows of a prediction, for every type of task. */
import type { SentenceAnswer } from '../board/events.js'
import { barOf } from '../report/sections.js'
import { html, type Html } from '../text/html.js'
import { percentText } from '../text/units.js'

type Prediction = NonNullable<SentenceAnswer['prediction']>

export type ShownAnswer = {
  /** the answer in large letters; null where the parts of the text are the answer */
  readonly headline: string | null
  /** the classes and their probabilities, the likeliest first */
  readonly classes: ReadonlyArray<readonly [name: string, score: number]>
  /** the text in pieces; an entity has its type and score */
  readonly parts: ReadonlyArray<{ readonly text: string; readonly entity: { readonly type: string; readonly score: number } | null }>
}

/** Maximum number of classes in an answer. */
const shownClasses = 8

/** @param text as the model read it */
export const shownAnswer = (text: string, prediction: Prediction): ShownAnswer => {
  const { label, labels, value, similarity, embedding, entities, scores = {} } = prediction
  const classes = Object.entries(scores)
    .sort(([, a], [, b]) => b - a)
    .slice(0, shownClasses)
  const said = (headline: string): ShownAnswer => ({ headline, classes, parts: [] })
  if (entities !== undefined) return { headline: entities.length === 0 ? 'no entity' : null, classes: [], parts: partsOf(text, entities) }
  if (similarity !== undefined) return said(`cosine ${similarity.toFixed(4)}`)
  if (embedding !== undefined) return said(`an embedding of ${embedding.length} numbers`)
  return said(label ?? labels?.join(', ') ?? (value === undefined ? '' : String(Number(value.toPrecision(6)))))
}

/** The text between the entities, and the entities, in the order of the text. Places count characters, not UTF-16 units. */
const partsOf = (text: string, entities: NonNullable<Prediction['entities']>): ShownAnswer['parts'] => {
  const characters = Array.from(text)
  const parts: ShownAnswer['parts'][number][] = []
  let at = 0
  const take = (end: number, entity: ShownAnswer['parts'][number]['entity']): void => {
    if (end > at) parts.push({ text: characters.slice(at, end).join(''), entity })
    at = Math.max(at, end)
  }
  for (const { entity_group: type, score, start, end } of [...entities].sort((a, b) => a.start - b.start)) {
    take(start, null)
    take(end, { type, score })
  }
  take(characters.length, null)
  return parts
}

/** The answer, a bar for each class, and entities within the text. */
export const answerHtml = (text: string, { message, prediction }: SentenceAnswer): Html => {
  if (prediction === undefined) return html`${message}`
  const { headline, classes, parts } = shownAnswer(text, prediction)
  const bars = classes.map(
    ([name, score]) =>
      html`<div class="class"><span>${name}</span>${barOf({ share: score, baseline: null })}<span>${percentText(score)}</span></div>`,
  )
  const pieces = parts.map(({ text: piece, entity }) =>
    entity === null ? piece : html`<mark title="${percentText(entity.score)}">${piece}<small> ${entity.type}</small></mark>`,
  )
  return html`${headline === null ? null : html`<strong>${headline || 'none'}</strong>`}${bars}${parts.length === 0 ? null : html`<p class="tagged">${pieces}</p>`}`
}

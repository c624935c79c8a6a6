/** Entities in sequences of tags, and their scores: those of seqeval's default mode, which are conlleval's. */
import type { ClassReport } from '../../metrics/classification.js'

/** Words `start` to `end` − 1 of a sentence. */
export type Entity = { readonly type: string; readonly start: number; readonly end: number }

/** The tag of a word outside every entity. */
export const outside = 'O'

/** L and U of BILOU are E and S of BIOES. A tag without a type has the type `_`. A name without a prefix counts as I. */
type ParsedTag = { readonly kind: 'begin' | 'inside' | 'end' | 'single' | 'outside'; readonly type: string }

const kinds: Readonly<Record<string, ParsedTag['kind']>> = { B: 'begin', I: 'inside', E: 'end', L: 'end', S: 'single', U: 'single' }

/** Whether the text is a tag: O, or a letter of BIOES or BILOU, alone or with a hyphen and a type after it. */
export const isTag = (text: string): boolean => /^(?:O|[BIESLU](?:-.+)?)$/.test(text)

export const parseTag = (tag: string): ParsedTag => {
  if (tag === outside) return { kind: 'outside', type: '' }
  const [, letter = '', type] = /^([BIESLU])(?:-(.+))?$/.exec(tag) ?? []
  return letter === '' ? { kind: 'inside', type: tag } : { kind: kinds[letter] ?? 'inside', type: type ?? '_' }
}

/** The class name of a word in an entity, in IOB2. */
export const toTag = (type: string, isFirst: boolean): string => `${isFirst ? 'B' : 'I'}${type === '_' ? '' : `-${type}`}`

/**
 * The entities of one sentence. An inside or end tag continues the entity before it if that has the same type and is still open; otherwise it
 * begins one. So IOB1, IOB2, BIOES and sequences that no scheme allows are all read.
 */
export const parseEntities = (tags: readonly string[]): readonly Entity[] => {
  const entities: { type: string; start: number; end: number }[] = []
  let open = false // whether the next tag may continue the last entity
  tags.forEach((tag, i) => {
    const { kind, type } = parseTag(tag)
    const last = entities.at(-1)
    if (kind === 'outside') open = false
    else if (open && (kind === 'inside' || kind === 'end') && last?.type === type) last.end = i + 1
    else entities.push({ type, start: i, end: i + 1 })
    if (kind !== 'outside') open = kind === 'begin' || kind === 'inside'
  })
  return entities
}

/** The same entities as IOB2 tags. */
export const iob2 = (tags: readonly string[]): readonly string[] => {
  const written = tags.map(() => outside)
  for (const { type, start, end } of parseEntities(tags)) for (let i = start; i < end; i++) written[i] = toTag(type, i === start)
  return written
}

type Count = { predicted: number; labeled: number; both: number }

/** Sentences of tags, one tag per word. */
type Tagged = readonly (readonly string[])[]

const countsByType = (predictions: Tagged, labels: Tagged): ReadonlyMap<string, Count> => {
  const counts = new Map<string, Count>()
  const findCount = (type: string): Count => {
    const count = counts.get(type) ?? { predicted: 0, labeled: 0, both: 0 }
    counts.set(type, count)
    return count
  }
  predictions.forEach((tags, sentence) => {
    const key = ({ type, start, end }: Entity): string => `${start} ${end} ${type}`
    const labeled = parseEntities(labels[sentence] ?? [])
    const keys = new Set(labeled.map(key))
    for (const { type } of labeled) findCount(type).labeled++
    for (const entity of parseEntities(tags)) {
      findCount(entity.type).predicted++
      if (keys.has(key(entity))) findCount(entity.type).both++
    }
  })
  return counts
}

const toClassReport = ({ predicted, labeled, both }: Count): ClassReport => {
  const share = (part: number, total: number): number => (total === 0 ? 0 : part / total)
  return { precision: share(both, predicted), recall: share(both, labeled), f1: share(2 * both, predicted + labeled), examples: labeled }
}

/**
 * Scores of predicted tags. An entity counts if its first word, its last word and its type are right.
 *  - precision, recall, f1: over all entities; a quotient of 0 / 0 is 0
 *  - accuracy: the share of words with the right tag
 * @throws Error if there is no word, or sentences differ in length
 */
export const scoreEntities = (
  predictions: Tagged,
  labels: Tagged,
): Readonly<Record<'precision' | 'recall' | 'f1' | 'accuracy', number>> => {
  const words = labels.reduce((sum, tags) => sum + tags.length, 0)
  const uneven = labels.findIndex((tags, i) => tags.length !== predictions[i]?.length)
  if (words === 0 || uneven >= 0 || predictions.length !== labels.length)
    throw new Error(`scoreEntities: expected a prediction for each of at least one word, got ${words} words; sentence ${uneven} differs`)
  const total: Count = { predicted: 0, labeled: 0, both: 0 }
  for (const { predicted, labeled, both } of countsByType(predictions, labels).values()) {
    total.predicted += predicted
    total.labeled += labeled
    total.both += both
  }
  const { precision, recall, f1 } = toClassReport(total)
  const right = labels.reduce((sum, tags, i) => sum + tags.filter((tag, j) => tag === predictions[i]?.[j]).length, 0)
  return { precision, recall, f1, accuracy: right / words }
}

/** One report per entity type that occurs among labels or predictions, by name; `examples` counts its labeled entities. */
export const reportByType = (predictions: Tagged, labels: Tagged): readonly (ClassReport & { readonly label: string })[] =>
  [...countsByType(predictions, labels)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([label, count]) => ({ label, ...toClassReport(count) }))

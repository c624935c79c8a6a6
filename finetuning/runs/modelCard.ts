/**
 * The model card of a run's adapter: README.md with front matter for the Hugging Face hub. It is made to be published, so it has no folders. It has
 * no time and no output folder either, so that equal runs have equal cards.
 */
import { cardBody, precisionSection, useSection, type RoundedScores } from './cardBody.js'
import type { CardFacts } from './cardFacts.js'
import { frontMatter } from './cardFrontMatter.js'
import type { Opener, Usage } from './usage.js'

export const cardFile = 'README.md'

export const modelCard = (facts: CardFacts): string => `---\n${frontMatter(facts)}---\n\n${cardBody(facts)}`

/**
 * The card of an export. @param opener what opens it; null: the same as before @param usage how it is opened @param rounded its scores in
 * another precision @returns null for a card that salora did not write
 */
export const cardOfExport = (
  card: string,
  opener: Opener | null,
  usage: Usage | null = null,
  rounded: RoundedScores | null = null,
): string | null => {
  const head = /^---\nlibrary_name: (?:peft|adapter-transformers|transformers)\n/.exec(card)?.[0]
  if (head === undefined) return null
  const withScores = rounded === null ? '' : `${precisionSection(rounded)}\n\n`
  const used = usage === null ? card : card.replace(/^## Use\n[\s\S]*?(?=^## )/m, () => `${useSection(usage)}\n\n${withScores}`)
  if (opener === null) return used
  const isWhole = opener !== 'gguf' // an adapter of llama.cpp
  const rest = used.slice(head.length)
  return `---\nlibrary_name: ${opener === 'gguf-merged' ? 'gguf' : opener}\n${isWhole ? rest.replace(/^(base_model: .*\nbase_model_relation: )adapter\n/, '$1finetune\n') : rest}`
}

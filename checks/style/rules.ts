/** The countable rules of the style: sentence length, banned phrases, one apostrophe. What a text means, people judge. */
// cspell:ignore learnt whilst amongst

export type Kind = 'prose' | 'message' | 'comment' | 'title'

/** A piece of text that people read. Lines are separated by line feeds. */
export type Text = { readonly file: string; readonly line: number; readonly kind: Kind; readonly text: string }

export type Violation = {
  readonly file: string
  readonly line: number
  readonly kind: Kind
  readonly rule: string
  readonly excerpt: string
}

export const longestSentence = 25

type Phrase = { readonly pattern: RegExp; readonly instead: string }

/** Phrases that a native speaker of the field would not write, each with what to write instead. */
export const bannedPhrases: ReadonlyArray<Phrase> = [
  { pattern: /\bso many\b/i, instead: 'n' },
  { pattern: /\b(go(es|ing)?|went|gone) on\b/i, instead: 'resume, continue' },
  { pattern: /\b(told|tells?|telling)\b/i, instead: 'print, report, name' },
  { pattern: /\b(hears?|heard|hearing)\b/i, instead: 'listen, receive' },
  { pattern: /\b(stands?|stood|standing)\b(?! (for|alone|out)\b)/i, instead: 'is' },
  { pattern: /\b(lies|lay|lain|lying)\b/i, instead: 'is' },
  { pattern: /\blie (in|on|at|below|above|beside|between|outside|within|there|where|under)\b/i, instead: 'are' },
  { pattern: /\bnone that\b/i, instead: 'no …' },
  { pattern: /\bwhoever\b/i, instead: 'anyone who' },
  { pattern: /\bof which\b/i, instead: 'a sentence of its own' },
  { pattern: /(?<!\bno )\bsuch\b(?! as\b)/i, instead: 'this' },
  { pattern: /\bwhat (is|was|are|were) \w+(ed|en|nt|ught|ade)\b/i, instead: 'the noun' },
  { pattern: /\bat hand\b/i, instead: 'current' },
  { pattern: /\bheeds?\b/i, instead: 'respects, handles' },
  { pattern: /\b(learnt|whilst|amongst|upon|hence|thereof|thereby|wherein|whereof)\b/i, instead: 'a plain word' },
  { pattern: /\bset aside\b/i, instead: 'renamed' },
]

/** A token of a formula: a sign, a Greek or raised letter, a number, a single letter, or a function's name. */
const symbol =
  /[=←→≤≥≈≠∈∂∫√ΣΠ∇⊙×·−±∞‖\p{Script=Greek}\p{M}\u00b2\u00b3\u00b9\u02b0-\u02ff\u1d2c-\u1d6a\u2070-\u209f]|^[([|]*(\p{L}|[\p{N}.]+|log|exp|ln|logit|mean|min|max|round|diag)[)\]|²]*[,.:;]?$|^[+/<>|)(]+$/u
const operator = /[=←→≤≥≈≠∈∂∫√Σ⊙×·−+/]/u

/** A formula within a sentence counts as one word: symbols in a row with an operator among them. A punctuation mark ends it. */
const withoutFormulas = (sentence: string): string => {
  const words: string[] = []
  let formula: string[] = []
  const close = (): void => {
    words.push(...(formula.length > 1 && formula.some((token) => operator.test(token)) ? ['`formula`'] : formula))
    formula = []
  }
  for (const token of sentence.split(' ')) {
    if (!symbol.test(token)) close()
    if (symbol.test(token)) formula.push(token)
    else words.push(token)
    if (/[,.:;]$/.test(token)) close()
  }
  close()
  return words.join(' ')
}

/** Words of a sentence; a code span, a link, a number and a formula are one word each. */
export const wordsOf = (sentence: string): number =>
  (withoutFormulas(sentence).match(/[\p{L}\p{N}`][\p{L}\p{N}\p{M}'’`.,:/_=+*<>%°-]*/gu) ?? []).length

/** Abbreviations whose period ends no sentence. */
const abbreviations = /\b(e\.g|i\.e|etc|vs|cf|al|Fig|Eq|eq|No|approx|resp|ca|p|pp|Sect|Sec)\.$/

/** A sentence ends at a mark before a capital, a number or a sign. It also ends at a period before a small letter, as names may begin small. */
const sentenceEnd = /(?<=[.!?…]["')\]`*_]*) (?=["'(`[*_]*[\p{Lu}\p{N}`→∂∫√<|‖])|(?<=[^.]\.["')\]`*_]*) (?=\p{Ll})/u

/** Sentences of a text. A colon before a line feed ends one too, and so does an empty line. */
export const sentencesOf = (text: string): ReadonlyArray<string> => {
  const sentences: string[] = []
  for (const block of text.split(/\n\s*\n|:\s*\n/)) {
    let open = ''
    for (const part of block.replace(/\s+/g, ' ').split(sentenceEnd)) {
      open = open === '' ? part : `${open} ${part}`
      if (abbreviations.test(part)) continue
      sentences.push(open.trim())
      open = ''
    }
    if (open !== '') sentences.push(open.trim())
  }
  return sentences.filter((sentence) => sentence !== '')
}

const excerptOf = (text: string, at = 0): string => {
  const flat = text.replace(/\s+/g, ' ').trim()
  const start = Math.max(0, at - 50)
  return `${start > 0 ? '…' : ''}${flat.slice(start, start + 110)}${flat.length > start + 110 ? '…' : ''}`
}

/** All countable faults of a text. Code spans are exempt from banned phrases. */
export const violationsOf = ({ file, line, kind, text }: Text): ReadonlyArray<Violation> => {
  const at = (rule: string, excerpt: string): Violation => ({ file, line, kind, rule, excerpt })
  const prose = text.replace(/`[^`]*`/g, '`code`').replace(/\s+/g, ' ')
  const long = sentencesOf(text.replace(/`[^`]*`/g, '`code`')).flatMap((sentence) => {
    const words = wordsOf(sentence)
    const semicolons = sentence.split(';').length - 1
    return [
      ...(words > longestSentence ? [at(`${words} words in a sentence`, excerptOf(sentence))] : []),
      ...(semicolons > 1 ? [at(`${semicolons} semicolons in a sentence`, excerptOf(sentence))] : []),
    ]
  })
  const banned = bannedPhrases.flatMap(({ pattern, instead }) => {
    const [phrase] = pattern.exec(prose) ?? []
    return phrase === undefined ? [] : [at(`"${phrase}": write "${instead}"`, excerptOf(prose, prose.search(pattern)))]
  })
  const apostrophe = /\p{L}’\p{L}|^[^‘]*s’ /u.test(prose) ? [at("’: write '", excerptOf(prose, prose.indexOf('’')))] : []
  return [...long, ...banned, ...apostrophe]
}

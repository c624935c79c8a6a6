/** The checker of the style: what it counts as a sentence, and which faults it finds where. */
import { describe, expect, it } from 'vitest'
import { violationsIn } from '../../checks/style.js'
import { longestSentence, sentencesOf, wordsOf } from '../../checks/style/rules.js'
import { tokensOf } from '../../checks/style/typescript.js'

const rulesIn = (file: string, text: string): ReadonlyArray<string> => violationsIn(file, text).map(({ line, rule }) => `${line}: ${rule}`)
const words = (n: number): string => Array.from({ length: n }, (_, i) => `word${i}`).join(' ')

describe('the style checker', () => {
  it('ends a sentence at a period before a capital letter, not after an abbreviation', () => {
    expect(sentencesOf('One idea. Another, e.g. This one. `code` begins a third? Yes')).toEqual([
      'One idea.',
      'Another, e.g. This one.',
      '`code` begins a third?',
      'Yes',
    ])
  })

  it('begins a sentence at a name or a formula in small letters, after a period', () =>
    expect(
      sentencesOf('Adapters are small, cf. the table. salora saves one. x: [n, k] → [n]. → the path of a file, etc. in order'),
    ).toEqual(['Adapters are small, cf. the table.', 'salora saves one.', 'x: [n, k] → [n].', '→ the path of a file, etc. in order']))

  it('counts a formula as one word, and the words around it as they are', () => {
    expect(wordsOf('Adam: p ← p − η · m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ) and alpha.')).toBe(6)
    expect(wordsOf('a run of 3 epochs and/or a rank')).toBe(8)
  })

  it('counts a code span, a number and a hyphenated word as one word each', () =>
    expect(wordsOf('Set `--rank` to 1e-3 for low-rank runs')).toBe(7))

  it(`reports a sentence of more than ${longestSentence} words in prose, and none of ${longestSentence}`, () => {
    expect(rulesIn('docs/page.md', `${words(longestSentence)}.\n\n${words(longestSentence + 1)}.`)).toEqual([
      `3: ${longestSentence + 1} words in a sentence`,
    ])
  })

  it('counts no words in tables, code blocks, front matter and HTML comments', () => {
    const long = words(40)
    expect(rulesIn('a.md', `---\n${long}\n---\n| ${long} |\n\n\`\`\`sh\n${long}\n\`\`\`\n<!-- ${long} -->\n`)).toEqual([])
  })

  it('reports banned phrases and curly apostrophes, but not inside code spans', () => {
    expect(rulesIn('a.md', 'The run goes on.\n\nA user’s file\n\n`goes on` is a phrase\n\nUsers’ files, not ‘files’ here')).toEqual([
      '1: "goes on": write "resume, continue"',
      "3: ’: write '",
      "7: ’: write '",
    ])
    expect(rulesIn('a.md', 'Metrics such as loss. It stands for LoRA. There is no such file.')).toEqual([])
  })

  it('reports a sentence of several semicolons', () =>
    expect(rulesIn('a.md', 'One; two; three.\n\nFrom &lt;s&gt; on; two.')).toEqual(['1: 2 semicolons in a sentence']))

  it('reports paragraphs of more than five lines, also where they are one long line', () => {
    expect(rulesIn('a.md', Array.from({ length: 6 }, () => 'A line.').join('\n'))).toEqual(['1: 6 lines in a paragraph'])
    expect(rulesIn('a.md', 'A short sentence of words. '.repeat(25))).toEqual(['1: 7 lines in a paragraph'])
    expect(rulesIn('a.md', Array.from({ length: 6 }, () => '- An item.').join('\n'))).toEqual([])
  })

  it('reads comments and messages of a source, and of a test its titles', () => {
    const source =
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the source of a template
      "/** It lies in memory. */\nconst pattern = /'such'/ // such is life\nthrow inputError('the run that goes on', `${x} is told`)\n"
    expect(rulesIn('cli/file.ts', source)).toEqual([
      '1: "lies": write "is"',
      '2: "such": write "this"',
      '3: "goes on": write "resume, continue"',
    ])
    expect(rulesIn('property-tests/a.test.ts', "it('goes on', () => expect('a line that goes on'))\n")).toEqual([
      '1: "goes on": write "resume, continue"',
    ])
  })

  it('finds strings inside templates, and no strings inside regular expressions', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the source of a template
    const texts = tokensOf("const a = `x ${f('in a template')} y` + b / 2 / 'after a division'.length; /[/'\"]/.test('after a class')")
    expect(texts.map(({ text }) => text)).toEqual(['in a template', 'x `x` y', 'after a division', 'after a class'])
  })
})

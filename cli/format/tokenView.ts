/** Examples token by token: learned tokens are green, or in ⟦brackets⟧ where there is no color. Untrusted characters are escaped. */
import { styleText } from 'node:util'
import type { ShownExample, ShownToken } from '../../finetuning/inspection/shownExamples.js'
import { counted, plural } from './numbers.js'

type Color = { readonly color: boolean }

/** Tokens of an example, and characters of a token; --json has more tokens. */
const [mostTokens, longestToken] = [256, 100]

export const exampleLines = (examples: ReadonlyArray<ShownExample>, { color }: Color): ReadonlyArray<string> =>
  examples.length === 0
    ? []
    : [
        `examples    learned tokens are ${color ? style('green', 'green') : 'in ⟦⟧'}; · separates tokens`,
        ...examples.flatMap((example) => [titleOf(example), `  ${tokensText(example, color)}`]),
        '',
      ]

const titleOf = ({ row, length, learned, cuts }: ShownExample): string => {
  const lost = cuts.reduce((sum, { tokens }) => sum + tokens, 0)
  return `  row ${row}: ${plural(length, 'token')}, ${counted(learned)} learned${lost === 0 ? '' : `; truncation drops ${counted(lost)} of ${counted(length + lost)}`}`
}

const style = (name: 'green' | 'yellow' | 'gray', text: string): string => styleText(name, text, { validateStream: false })

const tokensText = ({ tokens, length, cuts }: ShownExample, color: boolean): string => {
  const shown = tokens.slice(0, mostTokens)
  const note = (text: string): string => (color ? style('yellow', `‹${text}›`) : `‹${text}›`)
  const cutBefore = (at: number): string =>
    cuts
      .filter((cut) => cut.at === at)
      .map(({ tokens: lost, exchanges }) =>
        note(`${exchanges === undefined ? '' : `${plural(exchanges, 'exchange')} of `}${plural(lost, 'token')} dropped`),
      )
      .join('')
  const separator = color ? style('gray', '·') : '·'
  let text = ''
  for (const [i, token] of shown.entries()) {
    const [isFirst, isLast] = [shown[i - 1]?.learned !== true, shown[i + 1]?.learned !== true]
    const cut = cutBefore(i)
    // a mark of its own for each run of learned tokens, on both sides of a cut
    const opens = token.learned && (isFirst || cut !== '')
    const closes = token.learned && (isLast || cutBefore(i + 1) !== '')
    text += `${cut}${i > 0 && cut === '' ? separator : ''}${color ? colored(token) : `${opens ? '⟦' : ''}${visible(token.text)}${closes ? '⟧' : ''}`}`
  }
  const rest = length - shown.length
  return (text + (rest > 0 ? note(`and ${plural(rest, 'more token')}`) : cutBefore(length))).replaceAll('\n', '\n  ')
}

const colored = ({ text, learned }: ShownToken): string =>
  learned
    ? visible(text)
        .split('\n')
        .map((line) => (line === '' ? '' : style('green', line)))
        .join('\n')
    : visible(text)

/** What the terminal would obey or not show, and the marks of this view. */
const untrusted = /[\p{C}\p{Zl}\p{Zp}⟦⟧‹›·]/gu

/** A line break is shown and kept. Controls, format characters (such as those of bidirectional text) and the view's own marks are escaped. */
const visible = (text: string): string => {
  const characters = Array.from(text.slice(0, 2 * longestToken))
  const cut = characters.slice(0, longestToken).join('')
  const escaped = cut.replace(untrusted, (character) =>
    character === '\n' ? '↵\n' : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  )
  return escaped + (cut.length < text.length ? '…' : '')
}

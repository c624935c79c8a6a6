/** What a message says, with the options in it as data: a command line shows `--max-length`, and a program `maxLength`. */

/** An option of a command, or a property of a program. @param on of a switch: whether it is on */
export type Option = { readonly option: string; readonly on?: boolean }

/** How a reader writes an option. */
export type OptionStyle = (option: Option) => string

/** `maxLength`, `resume: true` */
export const inProgram: OptionStyle = ({ option: name, on }) => (on === undefined ? name : `${name}: ${on}`)

/** A text that names options. */
export class Words {
  constructor(readonly parts: readonly (string | Option)[]) {}

  /** Whether it is an option and nothing else. */
  get isOption(): boolean {
    return this.parts.length === 1 && typeof this.parts[0] === 'object'
  }

  in(style: OptionStyle): string {
    return this.parts.map((part) => (typeof part === 'string' ? part : style(part))).join('')
  }

  /** As a program reads it. */
  toString(): string {
    return this.in(inProgram)
  }
}

export type Text = string | Words

/** The option as a text of its own. @param on of a switch: whether it is on */
export const option = (name: string, on?: boolean): Words => new Words([on === undefined ? { option: name } : { option: name, on }])

const toParts = (value: Text | number): Words['parts'] => (value instanceof Words ? value.parts : [String(value)])

/** A template whose values may be words: words`at most ${n} (or ${option('evalData')})` */
export const words = (texts: TemplateStringsArray, ...values: readonly (Text | number)[]): Words =>
  new Words(texts.flatMap((text, i) => [text, ...(i < values.length ? toParts(values[i] ?? '') : [])]).filter((part) => part !== ''))

export const joined = (texts: readonly Text[], separator: string): Words =>
  new Words(texts.flatMap((text, i) => [...(i > 0 ? [separator] : []), ...toParts(text)]))

export const inStyle = (text: Text, style: OptionStyle): string => (typeof text === 'string' ? text : text.in(style))

/** The text with each of its plain parts changed. */
export const mapText = (text: Text, change: (part: string) => string): Text =>
  typeof text === 'string' ? change(text) : new Words(text.parts.map((part) => (typeof part === 'string' ? change(part) : part)))
